-- A run begins queued, and moves as protocol and runs.model.MOVES have it: the same list as there.
CREATE FUNCTION runs_move_legally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.status <> 'queued' THEN
        RAISE check_violation USING MESSAGE = 'a run begins queued';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.status <> NEW.status AND OLD.status || '>' || NEW.status NOT IN (
        'queued>in_progress',
        'queued>cancelling',
        'queued>failed',
        'queued>expired',
        'in_progress>requires_action',
        'in_progress>cancelling',
        'in_progress>completed',
        'in_progress>incomplete',
        'in_progress>failed',
        'in_progress>expired',
        'requires_action>queued',
        'requires_action>cancelling',
        'requires_action>expired',
        'cancelling>cancelled',
        'cancelling>expired'
    ) THEN
        RAISE check_violation USING MESSAGE = 'a run does not move like that';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER runs_move_legally BEFORE INSERT OR UPDATE OF status ON runs
FOR EACH ROW EXECUTE FUNCTION runs_move_legally();
