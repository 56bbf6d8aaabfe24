-- A run begins queued, and moves as protocol and runs.model.MOVES have it: the same list as there.
CREATE TRIGGER runs_begin_queued BEFORE INSERT ON runs
WHEN NEW.status <> 'queued'
BEGIN
    SELECT RAISE(ABORT, 'a run begins queued');
END;

CREATE TRIGGER runs_move_legally BEFORE UPDATE OF status ON runs
WHEN OLD.status <> NEW.status AND OLD.status || '>' || NEW.status NOT IN (
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
)
BEGIN
    SELECT RAISE(ABORT, 'a run does not move like that');
END;
