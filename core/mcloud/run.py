"""Execute a plan: the only module that changes anything. `undo.py` takes it back, `preview.py` only looks."""

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from mcloud.context import Surroundings, read_offers, write_offers
from mcloud.crew import GLANCE, Crew
from mcloud.errors import McloudError, PluginError, RunFailed, words
from mcloud.journal import Event
from mcloud.keeping import KeptFiles
from mcloud.offers import Offer
from mcloud.plan import Gate, Lane, Plan, Stage
from mcloud.preview import called, check_declared, look, look_again, refuse_returned, revoked, verified
from mcloud.steps import Step
from mcloud.watch import Watch, nobody, of_step

WORKERS = 16
"""Steps that run side by side on one machine; most of them wait for a service."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A step or gate came to its end; `error` says that it failed."""

    key: str
    offers: tuple[Offer, ...] = ()
    error: Exception | None = None
    dropped: bool = False
    """It is no longer needed, and nothing behind it in its lane runs."""


class Execution:
    """Runs a plan's stages on this machine, and takes what comes from outside through its gates.

    `reached` is called when a gate is the next thing in its lane and somebody needs what comes
    through it, `issued` with the offers of a volatile step (a token). `open`, `drop` and `fail` may be called
    from any thread, also before the gate is reached, also twice.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        reached: Callable[[Lane, Gate], None] | None = None,
        issued: Callable[[Lane, Sequence[Offer]], None] | None = None,
        watch: Watch = nobody,
    ) -> None:
        """Take the surroundings; nothing runs yet."""
        self.around = around
        self._reached = reached or (lambda _lane, _gate: None)
        self._issued = issued or (lambda _lane, _offers: None)
        self._watch = watch
        self._events: queue.SimpleQueue[Settled] = queue.SimpleQueue()
        self._early: dict[str, Settled] = {}
        journal = around.journal
        for key in filter(journal.settled, around.plan.steps):
            around.board.put(key, read_offers(journal.offers(key), around.plan.steps[key][1].offers))
        around.report = lambda key, text: self._tell(key, "report", text=text)
        around.notice = lambda key, text: self._tell(key, "notice", text=text)

    @property
    def plan(self) -> Plan:
        """The plan that is being run."""
        return self.around.plan

    def open(self, key: str, offers: Sequence[Offer] = ()) -> None:
        """Open a gate, with what came through it."""
        self._events.put(Settled(key, tuple(offers)))

    def drop(self, key: str) -> None:
        """Say that a gate will not open and nobody minds: what is behind it in its lane is left out."""
        self._events.put(Settled(key, dropped=True))

    def fail(self, key: str, error: Exception) -> None:
        """Say that what a gate waits for has failed: this machine's run fails with it."""
        self._events.put(Settled(key, error=error))

    def stop(self) -> None:
        """End waits and start nothing new."""
        self.around.stopping.set()
        self._events.put(Settled(""))

    def run(self, stage: Stage) -> None:
        """Run one stage to its end. Raises RunFailed with *all* failures inside."""
        sorter = TopologicalSorter(self.plan.graph(stage))
        sorter.prepare()
        busy: set[str] = set()
        failures: list[Exception] = []
        crew = Crew(WORKERS, stage)
        try:
            while True:
                if not failures and not self.around.stopping.is_set():
                    for key in sorter.get_ready():
                        busy.add(key)
                        self._begin(key, crew)
                if not busy or ((failures or self.around.stopping.is_set()) and not self._steps(busy)):
                    break
                self._hear(busy, sorter, failures)
        except BaseException:
            self.around.stopping.set()
            while self._steps(busy):  # each of them has an end; gates are not waited for
                self._hear(busy, sorter, failures)
            raise
        if not failures and self.around.stopping.is_set():
            failures.append(McloudError("stopped before the end", hint="run the same command again to go on"))
        if failures:
            raise RunFailed(
                f"{len(failures)} of the steps of stage '{stage}' failed on {self.plan.machine}",
                failures,
                hint="run the same command again to go on, or `mcloud undo` to take back what was done",
            )

    def _steps(self, busy: set[str]) -> bool:
        return any(isinstance(self.plan.steps[key][1], Step) for key in busy)

    def _hear(self, busy: set[str], sorter: "TopologicalSorter[str]", failures: list[Exception]) -> None:
        """Take note of what comes to its end next, if it does just now."""
        try:
            settled = self._events.get(timeout=GLANCE)
        except queue.Empty:
            return
        if settled.key in busy:
            busy.discard(settled.key)
            self._settle(settled, sorter, failures)
        elif settled.key in self.plan.steps:
            self._early[settled.key] = settled

    def _begin(self, key: str, crew: Crew) -> None:
        lane, step = self.plan.steps[key]
        if isinstance(step, Step):
            crew.submit(lambda: self._do(key, lane, step))
        elif key in self._early:
            self._events.put(self._early.pop(key))
        else:
            crew.submit(lambda: self._wait_at(key, lane, step))

    def _wait_at(self, key: str, lane: Lane, gate: Gate) -> None:
        try:
            if self._unneeded(lane, gate):
                self._events.put(Settled(key))
                return
            self._tell(key, "waiting")
            self._reached(lane, gate)
        except BaseException as error:  # noqa: BLE001 - nobody else would see it, and all would wait for ever
            failure = error if isinstance(error, Exception) else _ended(key, lane, error)
            self._events.put(Settled(key, error=failure))

    def _unneeded(self, lane: Lane, gate: Gate) -> bool:
        """Whether all that needs what comes through a gate was done before this process began."""
        needing = [one for one in lane.steps if isinstance(one, Step) and {*one.needs} & {*gate.offers}]
        return bool(needing) and all(self._was_done(lane, step) for step in needing)

    def _was_done(self, lane: Lane, step: Step) -> bool:
        key, journal = f"{lane.key}/{step.name}", self.around.journal
        if journal.last(key) in {None, "undone"} or step.probe is None or revoked(self.around, key, step):
            return False
        try:
            return journal.settled(key) or look(self.around, lane, step) is not None
        except McloudError:
            return False

    def _settle(self, settled: Settled, sorter: "TopologicalSorter[str]", failures: list[Exception]) -> None:
        if settled.error is not None:
            settled.error.add_note(settled.key)
            failures.append(settled.error)
        elif not settled.dropped:
            self.around.board.put(settled.key, settled.offers)
            lane, step = self.plan.steps[settled.key]
            if isinstance(step, Gate):
                self._tell(settled.key, "done")
            elif step.volatile:
                self._issued(lane, settled.offers)
            sorter.done(settled.key)

    def _do(self, key: str, lane: Lane, step: Step) -> None:
        began, settled = time.monotonic(), Settled(key)
        try:
            what, offers = self._look_and_run(key, lane, step)
            self._tell(key, what, seconds=time.monotonic() - began)
            settled = Settled(key, offers)
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; `run` raises it again
            failure = error if isinstance(error, Exception) else _ended(key, lane, error)
            if isinstance(failure, PluginError):
                failure.plugin = failure.plugin or lane.plugin  # the host does not know whose step it serves
            settled = Settled(key, error=failure)
            self._note_failure(key, failure, time.monotonic() - began)
        finally:
            # Whatever goes wrong on the way here: `run` waits for this.
            self._events.put(settled)

    def _note_failure(self, key: str, error: Exception, seconds: float) -> None:
        text = words(error)
        try:
            self.around.journal.write("failed", key, error=text[:2000], seconds=round(seconds, 3))
        except PluginError:
            hidden = f"{type(error).__name__} (its text holds a secret)"
            self.around.journal.write("failed", key, error=hidden)
        self._tell(key, "failed", seconds=seconds, text=text)

    def _look_and_run(self, key: str, lane: Lane, step: Step) -> tuple[str, tuple[Offer, ...]]:
        """See whether the step is done, do it if not, and return what happened and what it offers."""
        journal = self.around.journal
        if step.probe is None:
            return self._run_volatile(key, lane, step)
        if journal.settled(key):
            return "skipped", read_offers(journal.offers(key), step.offers)
        again = journal.last(key) in {"done", "adopted"}  # for another roster
        seen = None
        if not revoked(self.around, key, step):
            seen = (look_again if again else look)(self.around, lane, step)
        if seen is not None:
            what: Event = "done" if journal.begun(key) else "adopted"
            journal.write(what, key, offers=write_offers(seen), **({"again": True} if again else {}))
            return "skipped" if again else what, seen
        journal.write("started", key)
        self._tell(key, "started")
        began = time.monotonic()
        try:
            refuse_returned(key, lane, called(self.around, lane, step, doing="run", part=step.run))
        finally:
            KeptFiles(journal).note(self.around.host, key)
        seen = verified(self.around, lane, step)
        journal.write("done", key, offers=write_offers(seen), seconds=round(time.monotonic() - began, 3))
        return "done", seen

    def _run_volatile(self, key: str, lane: Lane, step: Step) -> tuple[str, tuple[Offer, ...]]:
        self.around.journal.write("started", key)
        self._tell(key, "started")
        began = time.monotonic()
        offers = called(self.around, lane, step, doing="run", part=lambda ctx: tuple(step.run(ctx) or ()))
        check_declared(key, lane, step, offers)
        self.around.journal.write("done", key, seconds=round(time.monotonic() - began, 3))
        return "done", offers

    def _tell(self, key: str, what: str, *, seconds: float = 0.0, text: str = "") -> None:
        lane, step = self.plan.steps[key]
        self._watch(of_step(lane, step, what, seconds=seconds, text=text))


def _ended(key: str, lane: Lane, error: BaseException) -> PluginError:
    return PluginError(
        f"{key} wanted to end the whole program ({type(error).__name__})",
        plugin=lane.plugin,
        hint="a step raises an error; this is for the plugin's author",
    )
