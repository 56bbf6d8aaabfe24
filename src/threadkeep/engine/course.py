"""One run in this process's hands: from its claim to its end, or until it waits for its client.

What happened is written down first and told after that. Work may be called off at any time; only writes
are never torn in two.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from threadkeep.assistants.model import CodeInterpreterTool
from threadkeep.context import Context
from threadkeep.engine import prompt, searching
from threadkeep.engine.base import Watch
from threadkeep.engine.citations import sources_of
from threadkeep.engine.events import ELSEWHERE, Done, Event, RunEvent
from threadkeep.engine.interrupts import Interrupted, Interrupts, Reason
from threadkeep.engine.patience import Patience
from threadkeep.engine.record import NOTHING, Changed, Record
from threadkeep.engine.turn import (
    CANCELLED,
    COMPLETED,
    CUT_OFF,
    EXPIRED,
    FILTERED,
    Closing,
    Ending,
    Results,
    Searchable,
    Turn,
    ended,
    failed,
)
from threadkeep.errors import NotFound, Unavailable
from threadkeep.providers.base import Call, Finish, ModelFailure, Piece, Refusal, Text, Used
from threadkeep.runs import progress
from threadkeep.runs.claims import Worked
from threadkeep.runs.model import (
    Claim,
    IncompleteRun,
    LastError,
    RequiredAction,
    Run,
    Status,
    SubmitToolOutputs,
    moved,
)

Deed = Callable[[], Awaitable[None]]

WENT_WRONG = LastError("server_error", "Sorry, something went wrong.")
CUT_SHORT = ("length", "content_filter")
"""Reasons for which a model stops before its end."""
log = logging.getLogger(__name__)


class Course:
    """The work on one run (`leases.Work`)."""

    def __init__(
        self,
        context: Context,
        claim: Claim,
        changed: Changed,
        *,
        watch: Watch | None = None,
        worked: Worked | None = None,
    ) -> None:
        self.claim = claim
        self._context, self._watch = context, watch
        self._interrupts = Interrupts()
        self._patiently = Patience(self._interrupts, f"event=run_put_off run={claim.run_id}")
        self._record = Record(context, claim, self._patiently, changed, worked)
        self._turn: Turn | None = None
        self._ending = False
        """Whether its outcome is settled, or its time over, so that nobody needs to look at the clock."""
        self._told_of_cancelling = False

    # -------------------------------------------------------------- as others see it

    @property
    def id(self) -> str:
        return self.claim.run_id

    @property
    def expires_at(self) -> int | None:
        """When it is to be expired, as far as that is known."""
        run = self._record.current
        return run.expires_at if run and not self._ending else None

    def cancel(self) -> None:
        """Somebody has asked for the run's end."""
        if not self._ending:
            self._interrupts.ask(Reason.CANCELLED)

    def expire(self) -> None:
        """The run's time is over."""
        if not self._ending:
            self._ending = True
            self._interrupts.ask(Reason.EXPIRED)

    def leave(self, lost: bool) -> None:
        self._interrupts.ask(Reason.LOST if lost else Reason.HANDED_OVER)

    @property
    def _run(self) -> Run:
        return self._record.run

    # -------------------------------------------------------------- from deed to deed

    async def run(self) -> None:
        try:
            await self._work()
        except Exception:
            log.exception("event=run_left run=%s", self.id)
        finally:
            self._tell(ELSEWHERE)
            self._tell(Done())

    async def _work(self) -> None:
        """Deed upon deed, until there is nothing more to be done here."""
        try:
            await self._read()
            deed: Deed | None = self._go_on
            while deed is not None:
                deed = await self._done(deed)
        except progress.Lost:
            await self._tell_loss()
        except Interrupted as called:
            if called.reason is Reason.LOST:
                await self._tell_loss()

    async def _done(self, deed: Deed) -> Deed | None:
        """Do it; what is to be done instead, where it could not be done."""
        try:
            await deed()
        except Interrupted as called:
            if called.reason is Reason.CANCELLED:
                return self._be_cancelled
            if called.reason is Reason.EXPIRED:
                return self._expire
            raise
        except progress.Cancelled as found:
            self._record.current = found.run
            return self._be_cancelled
        except ModelFailure as failure:
            return partial(self._fail, LastError(failure.code, failure.message))
        except progress.Lost:
            raise
        except Exception as problem:
            return self._instead_of(deed, problem)
        return None

    def _instead_of(self, deed: Deed, problem: Exception) -> Deed:
        """What to do after a fault of our own: the run ends all the same, without its partial message if
        that is what cannot be written."""
        if deed == self._go_on:
            if isinstance(problem, NotFound) and problem.noun == "thread":  # its deletion cancels its runs
                return self._be_cancelled
            deed = partial(self._fail, WENT_WRONG)
        elif self._turn is None:
            raise problem
        else:
            self._turn = None
        log.error("event=run_broken run=%s", self.id, exc_info=problem)
        return deed

    async def _read(self) -> None:
        """What is to be worked. That it was called off meanwhile shows in what is read."""
        while True:
            try:
                with self._interrupts.allowed():
                    pass  # it may be left before it begins
                return await self._record.read()
            except Interrupted as called:
                if called.reason > Reason.CANCELLED:
                    raise
                self._record.doubt()

    async def _go_on(self) -> None:
        run = self._run
        now = self._context.now()
        if run.status == "cancelling":
            await self._be_cancelled()
        elif run.expires_at is not None and run.expires_at <= now:
            await self._expire()
        elif run.status == "requires_action":  # another process's clock goes before ours
            await self._record.write(run, due_at=run.expires_at)
        else:
            if run.status == "queued":
                run = moved(run, "in_progress", started_at=now)
                run = await self._record.write(run, due_at=self._context.runner.lease_until())
                self._tell(RunEvent("in_progress", run))
            await self._take_turns()

    # -------------------------------------------------------------- a turn

    async def _take_turns(self) -> None:
        """Turn upon turn, as long as the model asks for nothing but what the server does itself."""
        require_offered(self._run)
        if self._search_name is not None:
            with self._interrupts.allowed():
                await self._patiently(partial(searching.ready, self._context, self._record.worked))
        while await self._take_turn():
            pass

    @property
    def _search_name(self) -> str | None:
        return searching.name_of(self._run)

    async def _take_turn(self) -> bool:
        """Whether another is to follow."""
        try:
            with self._interrupts.allowed():
                turn, asked, reason = await self._hear()
                if reason not in CUT_SHORT and turn.searches():
                    await self._search(turn, asked)
        except prompt.TooLong as problem:
            if problem.reason is None:
                raise ModelFailure("invalid_prompt", problem.message) from None
            await self._be_incomplete(CUT_OFF, problem.reason)
            return False
        if reason == "length":
            await self._be_incomplete(CUT_OFF, "max_completion_tokens")
        elif reason == "content_filter":
            await self._be_incomplete(FILTERED, None)
        elif turn.waits_for_client:  # whatever reason they give: some say "stop" after calls
            await self._wait_for_client(turn)
        elif turn.has_calls:
            await self._keep_calls(turn)
            return True
        else:
            await self._end("completed", COMPLETED, completed_at=self._context.now())
        return False

    async def _hear(self) -> tuple[Turn, prompt.Prompt, str]:
        """Ask the model, and listen to the end. What it said to what, and why it stopped."""
        worked, context = self._record.worked, self._context
        find = partial(context.providers.target, self._run.model, worked.job.virtual_key)
        target = await self._patiently(find)
        asked = await self._patiently(partial(prompt.build, context, worked, self._record.steps, target))
        tell = self._watch.tell if self._watch else None
        turn = self._turn = Turn(self._run, context.new_id, context.now, tell, self._searchable())
        answer = cast("AsyncGenerator[list[Piece], None]", target.provider.stream(asked.request))
        reason: str | None = None
        async with aclosing(answer):
            async for pieces in answer:
                for piece in pieces:
                    if type(piece) is Text:
                        turn.say(piece.value)
                    elif type(piece) is Call:
                        if turn.has_message:
                            with self._interrupts.forbidden():
                                await self._keep_message(turn)
                        turn.call(piece)
                    elif type(piece) is Refusal:
                        turn.say(piece.value, refusal=True)
                    elif type(piece) is Finish:
                        reason = piece.reason
                    elif type(piece) is Used:
                        turn.usage = piece.usage
        if reason is None:
            raise ModelFailure("server_error", "The model's answer broke off before its end.")
        if not turn.has_spoken:
            turn.say_nothing()
        return turn, asked, reason

    async def _keep_message(self, turn: Turn) -> None:
        """Write down what the model said before it calls functions."""
        closing = turn.closed_message()
        await self._record.keep(closing)
        turn.message_is_written()
        self._tell_all(closing.events)

    def _searchable(self) -> Searchable | None:
        name, tool = self._search_name, searching.tool_of(self._run)
        if name is None or tool is None:
            return None
        return Searchable(name, searching.ranking_options(tool), sources_of(self._record.steps))

    async def _search(self, turn: Turn, asked: prompt.Prompt) -> None:
        """Carry out the searches that the model asks for. Raises `ModelFailure` where they never end, and
        `TooLong`."""
        tool, worked = searching.tool_of(self._run), self._record.worked
        assert tool is not None
        if searching.is_exhausted(self._record.steps):
            raise ModelFailure(
                "server_error", "The model searched the files again and again, without an answer."
            )
        steps = [*self._record.steps, *turn.closed(COMPLETED).steps]
        measure = partial(prompt.room_for_results, self._context, worked, steps, asked)
        room = await self._patiently(measure)
        found: dict[str, Results] = {}
        asked_for = turn.searches()
        for id, arguments in asked_for.items():
            query = searching.query_of(self._run, tool, arguments)
            hits = []
            if query is not None:
                hits = await self._patiently(partial(searching.find, self._context, worked, query))
            share = room // (len(asked_for) - len(found))
            found[id], left = await searching.that_fit(hits, share)
            room -= share - left
        turn.answer(found)

    async def _keep_calls(self, turn: Turn) -> None:
        """Write down calls that are carried out, before the model is asked again."""
        closing = turn.closed(COMPLETED)
        await self._record.keep(closing)
        self._turn = None
        self._tell_all(closing.events)

    async def _wait_for_client(self, turn: Turn) -> None:
        """Have the client carry out the calls."""
        self._ending = True
        closing = turn.waiting()
        action = RequiredAction(submit_tool_outputs=SubmitToolOutputs(turn.required_calls()))
        run = moved(self._run, "requires_action", required_action=action)
        run = await self._record.write(run, closing, due_at=run.expires_at)
        self._tell_all([*closing.events, RunEvent("requires_action", run), Done()])

    # -------------------------------------------------------------- ends

    async def _be_incomplete(self, ending: Ending, reason: Any) -> None:
        details = IncompleteRun(reason) if reason else None
        now = self._context.now()
        await self._end("incomplete", ending, incomplete_details=details, completed_at=now)

    async def _fail(self, error: LastError) -> None:
        await self._end("failed", failed(error), last_error=error, failed_at=self._context.now())

    async def _expire(self) -> None:
        await self._end("expired", EXPIRED, completed_at=self._context.now())

    async def _be_cancelled(self) -> None:
        self._know_of_cancelling()
        await self._end("cancelled", CANCELLED, cancelled_at=self._context.now())

    def _know_of_cancelling(self) -> None:
        if self._run.status != "cancelling":
            self._record.current = moved(self._run, "cancelling", required_action=None)
        if not self._told_of_cancelling:
            self._told_of_cancelling = True
            self._tell(RunEvent("cancelling", self._run))

    async def _end(self, status: Status, ending: Ending, **changes: Any) -> None:
        """The run's last move, with everything that is open ended likewise."""
        self._ending = True
        closing = self._closing(ending)
        run = moved(self._run, status, usage=self._record.usage(closing), **changes)
        run = await self._record.write(run, closing, due_at=None)
        self._tell_all([*closing.events, RunEvent(status, run), Done()])

    def _closing(self, ending: Ending) -> Closing:
        """The end of this turn, and of calls that the client was to carry out."""
        turn = self._turn.closed(ending) if self._turn else NOTHING
        now = self._context.now()
        waiting = [ended(step, ending, now) for step in self._record.waiting]
        return Closing(turn.messages, [*waiting, *turn.steps], turn.events)

    # -------------------------------------------------------------- telling

    def _tell(self, event: Event) -> None:
        if self._watch is not None:
            self._watch.tell(event)

    def _tell_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._tell(event)

    async def _tell_loss(self) -> None:
        """A run that is gone was cancelled, since its thread was deleted; any other is somebody else's."""
        if self._watch is None or self._record.current is None:
            return
        try:
            if not await self._record.is_gone():
                return
        except Unavailable:
            return
        self._know_of_cancelling()
        closing, now = self._closing(CANCELLED), self._context.now()
        run = moved(self._run, "cancelled", usage=self._record.usage(closing), cancelled_at=now)
        self._tell_all([*closing.events, RunEvent("cancelled", run), Done()])


def require_offered(run: Run) -> None:
    """Raises `ModelFailure` for a tool that this server does not have."""
    missing = [tool for tool in run.tools if isinstance(tool, CodeInterpreterTool)]
    if missing and run.tool_choice != "none":
        name = missing[0].__struct_config__.tag
        raise ModelFailure(
            "server_error",
            f"This server does not offer the tool '{name}'. Leave it out of the run's tools, or set "
            "tool_choice to 'none'.",
        )
