"""Preview and execute: the only module that changes anything (`undo.py` takes it back)."""

import contextlib
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from graphlib import TopologicalSorter

from mcloud.context import Context, Surroundings, read_offers, write_offers
from mcloud.errors import McloudError, PluginError, RunFailed, ServiceError
from mcloud.journal import Event
from mcloud.offers import Offer
from mcloud.plan import Gate, Lane, Plan, Stage
from mcloud.steps import Step
from mcloud.watch import Happening, Watch, nobody

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

    `reached` is called when a gate is the next thing in its lane, `issued` with the offers of a
    volatile step (a token), both from the thread of `run`. `open`, `drop` and `fail` may be called
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
        for key, (_lane, step) in around.plan.steps.items():
            if around.journal.last(key) in {"done", "adopted"}:
                around.board.put(key, read_offers(around.journal.offers(key), step.offers))
        around.report = lambda key, text: self._tell(key, "report", text=text)

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
        with ThreadPoolExecutor(WORKERS, thread_name_prefix=stage) as pool:
            while True:
                if not failures and not self.around.stopping.is_set():
                    for key in sorter.get_ready():
                        busy.add(key)
                        self._begin(key, pool)
                running = {key for key in busy if isinstance(self.plan.steps[key][1], Step)}
                if not busy or ((failures or self.around.stopping.is_set()) and not running):
                    break
                settled = self._events.get()
                if settled.key in busy:
                    busy.discard(settled.key)
                    self._settle(settled, sorter, failures)
                elif settled.key in self.plan.steps:
                    self._early[settled.key] = settled
        if not failures and self.around.stopping.is_set():
            failures.append(McloudError("stopped before the end", hint="run the same command again to go on"))
        if failures:
            raise RunFailed(
                f"{len(failures)} of the steps of stage '{stage}' failed on {self.plan.machine}",
                failures,
                hint="run the same command again to go on, or `mcloud undo` to take back what was done",
            )

    def _begin(self, key: str, pool: ThreadPoolExecutor) -> None:
        lane, step = self.plan.steps[key]
        if isinstance(step, Step):
            pool.submit(self._do, key, lane, step)
        elif key in self._early:
            self._events.put(self._early.pop(key))
        else:
            self._tell(key, "waiting")
            self._reached(lane, step)

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
        began = time.monotonic()
        try:
            what, offers = self._look_and_run(key, lane, step)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; all of it is raised again in `run`
            if isinstance(error, PluginError):
                error.plugin = error.plugin or lane.plugin  # the host does not know whose step it serves
            self._note_failure(key, error, time.monotonic() - began)
            self._events.put(Settled(key, error=error))
        else:
            self._tell(key, what, seconds=time.monotonic() - began)
            self._events.put(Settled(key, offers))

    def _note_failure(self, key: str, error: Exception, seconds: float) -> None:
        text = str(error) if isinstance(error, McloudError) else f"{type(error).__name__}: {error}"
        try:
            self.around.journal.write("failed", key, error=text[:2000], seconds=round(seconds, 3))
        except PluginError:
            self.around.journal.write(
                "failed", key, error=f"{type(error).__name__} (its text holds a secret)"
            )
        self._tell(key, "failed", seconds=seconds, text=text)

    def _look_and_run(self, key: str, lane: Lane, step: Step) -> tuple[str, tuple[Offer, ...]]:
        """See whether the step is done, do it if not, and return what happened and what it offers."""
        journal = self.around.journal
        past = journal.last(key)
        if step.probe is None:
            return self._run_volatile(key, lane, step)
        if past in {"done", "adopted"}:
            return "skipped", read_offers(journal.offers(key), step.offers)
        seen = self._probe(lane, step)
        if seen is not None:
            what: Event = "adopted" if past is None else "done"
            journal.write(what, key, offers=write_offers(seen))
            return what, seen
        journal.write("started", key)
        self._tell(key, "started")
        began = time.monotonic()
        returned = step.run(Context(self.around, lane, step, doing="run"))
        if returned is not None:
            raise PluginError(
                f"{key}: run returned something, but what it offers is what its probe sees",
                plugin=lane.plugin,
                hint="return None, and no generator; this is for the plugin's author",
            )
        seen = self._probe(lane, step)
        if seen is None:
            raise ServiceError(
                f"{key} ended without an error, but what it should have made cannot be seen",
                hint="look at the service's own log on this machine; then run the same command again",
            )
        journal.write("done", key, offers=write_offers(seen), seconds=round(time.monotonic() - began, 3))
        return "done", seen

    def _run_volatile(self, key: str, lane: Lane, step: Step) -> tuple[str, tuple[Offer, ...]]:
        self.around.journal.write("started", key)
        self._tell(key, "started")
        began = time.monotonic()
        offers = tuple(step.run(Context(self.around, lane, step, doing="run")) or ())
        _check_declared(key, lane, step, offers)
        self.around.journal.write("done", key, seconds=round(time.monotonic() - began, 3))
        return "done", offers

    def _probe(self, lane: Lane, step: Step) -> tuple[Offer, ...] | None:
        return look(self.around, lane, step)

    def _tell(self, key: str, what: str, *, seconds: float = 0.0, text: str = "") -> None:
        lane, step = self.plan.steps[key]
        self._watch(
            Happening.model_validate(
                {
                    "machine": lane.machine,
                    "plugin": lane.plugin,
                    "hook": lane.hook,
                    "about": lane.about,
                    "step": step.name,
                    "what": what,
                    "seconds": seconds,
                    "text": printable(text),
                }
            )
        )


def look(around: Surroundings, lane: Lane, step: Step) -> tuple[Offer, ...] | None:
    """Probe one step; return what it offers, or None if it is not there."""
    assert step.probe is not None  # noqa: S101 - asked of steps with a probe only
    seen = step.probe(Context(around, lane, step, doing="probe"))
    if seen is None:
        return None
    _check_declared(f"{lane.key}/{step.name}", lane, step, seen)
    return tuple(seen)


def preview(around: Surroundings) -> Mapping[str, bool]:
    """Return for each step whether it is to do. Probes only; changes nothing.

    A step that wants what another step has still to make is not probed (it would say "nothing to
    do"), nor is one whose plugin has an earlier step to do (its service is not there to be asked):
    both count as to do, as do tokens and a probe that fails.
    """
    plan, to_do, behind = around.plan, dict[str, bool](), set[str]()
    stages = dict.fromkeys(lane.stage for lane in plan.lanes)
    for key in (key for stage in stages for key in TopologicalSorter(plan.graph(stage)).static_order()):
        lane, step = plan.steps[key]
        makers = {maker for kind in (*step.needs, *step.wants) for maker in plan.makers(kind, lane)}
        seen = None
        if (
            isinstance(step, Step)
            and step.probe
            and lane.plugin not in behind
            and not any(to_do[m] for m in makers)
        ):
            with contextlib.suppress(McloudError):
                seen = look(around, lane, step)
        to_do[key] = seen is None
        around.board.put(key, seen or ())
        if seen is None:
            behind.add(lane.plugin)
    return to_do


def printable(text: str) -> str:
    """Return a text fit for one line of the screen: no control characters, bounded."""
    return "".join(c if c.isprintable() else " " for c in text)[:255]


def _check_declared(key: str, lane: Lane, step: Step, offers: Sequence[Offer]) -> None:
    strange = sorted({type(offer).__name__ for offer in offers if type(offer) not in step.offers})
    if strange:
        raise PluginError(
            f"{key} offers {', '.join(strange)}, which it did not declare",
            plugin=lane.plugin,
            hint="name every kind in the step's `offers`; this is for the plugin's author",
        )
