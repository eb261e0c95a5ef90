"""Take a run back on this machine: its journal read backwards, what was adopted left alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mcloud.cloud import plan_for
from mcloud.context import Surroundings, read_offers
from mcloud.errors import McloudError, ProtocolError, RunFailed, ServiceError, UsedElsewhereError, words
from mcloud.holding import FOUNDATIONS, Holding, last_first
from mcloud.host import Host
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.keeping import KeptFiles
from mcloud.plan import Lane, Plan
from mcloud.plugins import Plugins
from mcloud.preview import called, look
from mcloud.record import record_step, unknown_yet
from mcloud.state import State
from mcloud.steps import Step
from mcloud.watch import Watch, nobody, of_step

OURS = frozenset({"started", "done", "failed"})
UNKNOWN = "it was done by another version of its plugin, which alone knows how to take it back"


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of an undo, by step key."""

    taken_back: tuple[str, ...]
    left: Mapping[str, str]
    """What is still there, with the reason."""

    def refuse_left(self) -> None:
        """Raise RunFailed if something is still there, with all of it inside."""
        failures = [ServiceError(reason) for reason in self.left.values()]
        for key, failure in zip(self.left, failures, strict=True):
            failure.add_note(key)
        if failures:
            hint = "put that right, then type `mcloud undo` on this machine"
            raise RunFailed(f"{len(failures)} steps could not be taken back", failures, hint=hint)


def refuse_complete(journal: Journal) -> None:
    """Raise ProtocolError if a run is complete here: no other machine has it taken back then."""
    if journal.has("finished"):
        raise ProtocolError(
            f"{journal.header['machine']} is in the cloud already, and takes nothing back that it was not "
            "told to by its own operator",
            hint="`mcloud undo` on this machine does it",
        )


def take_back(
    plugins: Plugins, host: Host, state: State, journal: Journal, *, watch: Watch = nobody
) -> Undone:
    """Take back all that a run ever did on this machine, and forget whom it trusted in it."""
    around = Surroundings(host=host, plan=all_planned(plugins, state, journal), journal=journal)
    return undo(around, watch=watch, forget=lambda: state.forget(str(journal.header["run"])))


def all_planned(plugins: Plugins, state: State, journal: Journal) -> Plan:
    """Return a plan of all that a run ever planned here, whatever its roster was at the time.

    Raises SettingsError if a plugin of the run is broken or missing.
    """
    plugins.require(journal.header["services"])
    name, lanes, known = str(journal.header["machine"]), dict[str, Lane](), set[str]()
    for line in reversed(journal.rosters):
        inputs = Inputs.model_validate(line)
        for lane in plan_for(plugins, inputs, name, record_step(state, inputs, unknown_yet)).lanes:
            new = [step for key, step in zip(lane.step_keys(), lane.steps, strict=True) if key not in known]
            known |= set(lane.step_keys())
            there = lanes.get(lane.key, replace(lane, steps=()))
            lanes[lane.key] = replace(there, steps=(*there.steps, *new))
    return Plan(name, tuple(lanes.values()))


def to_undo(plan: Plan, journal: Journal) -> Sequence[tuple[str, Lane, Step]]:
    """Return the steps that this run changed something with, the last one first; see `last_first`."""
    begun: dict[str, None] = {}
    for line in journal.lines():
        if line["event"] == "started" and line["key"] in plan.steps:
            begun.pop(line["key"], None)
            begun[line["key"]] = None
    found = []
    for key in last_first(plan, tuple(begun)):
        lane, step = plan.steps[key]
        if isinstance(step, Step) and step.probe is not None and journal.last(key) in OURS:
            found.append((key, lane, step))
    return found


def forgotten(plan: Plan, journal: Journal) -> Sequence[str]:
    """Return the keys of steps that this run did and that the plan of changed plugins does not know."""
    keys = dict.fromkeys(str(line["key"]) for line in journal.lines() if line["event"] == "started")
    return [key for key in keys if key not in plan.steps and journal.last(key) in OURS]


def undo(around: Surroundings, *, watch: Watch = nobody, forget: Callable[[], None] = lambda: None) -> Undone:
    """Walk the journal backwards and take back each step; a failure is noted and does not stop the walk.

    Where a step could not be taken back, what it stands on is left, too, with that as the reason. Once
    nothing is left `forget` is called: it takes away what is kept of the run beside its journal, before
    that says that all was taken back. Can be interrupted and called again. Steps that failed to be undone
    count as gone if their service's founding or join was undone, and they cannot be seen any more.
    """
    journal = around.journal
    if not journal.closed:
        journal.write("undoing")

    def report(key: str, text: str) -> None:
        watch(of_step(*around.plan.steps[key], "report", text=text))

    around.report = report
    taken, left = list[str](), dict.fromkeys(forgotten(around.plan, journal), UNKNOWN)
    # All of them first: what a step wanted was made before it, and is walked to after it.
    for key, (_lane, maker) in around.plan.steps.items():
        around.board.put(key, read_offers(journal.offers(key), maker.offers))
    keys = tuple(key for key, _lane, _step in to_undo(around.plan, journal))
    holding = Holding(around.plan, keys, seen=partial(_still_seen, around))
    while keys:
        for key in keys:
            left.pop(key, None)
            if (reason := _let_go(around, key, holding, watch)) is None:
                taken.append(key)
            else:
                left[key] = reason
        gone = _gone_with_their_service(around, left)
        for key in gone:
            journal.write("undone", key, note="gone with its service")
            del left[key]
        taken += gone
        keys = holding.free(gone)
    if not left:
        forget()
        KeptFiles(journal).forget()
        journal.write("reverted")
    return Undone(tuple(taken), left)


def _let_go(around: Surroundings, key: str, holding: Holding, watch: Watch) -> str | None:
    """Undo one step, unless something that is left stands on it; return why it is still there, or None."""
    lane, step = around.plan.steps[key]
    assert isinstance(step, Step)  # noqa: S101 - gates are never begun
    consumer = holding.hold(key)  # also where it has no undo: what is left stands on what it stands on
    if step.undo is None:
        return "this step cannot be taken back"
    if consumer is not None:
        reason: str | None = f"left because {consumer} is still there"
    else:
        error = _take_back(around, key, lane, step)
        reason = None if error is None else words(error)
        if error is not None and not isinstance(error, UsedElsewhereError):
            holding.fail(key)
    if reason is None:
        around.journal.write("undone", key)
    watch(of_step(lane, step, "undone" if reason is None else "left", text=reason or ""))
    return reason


def _take_back(around: Surroundings, key: str, lane: Lane, step: Step) -> Exception | None:
    """Undo one step; return why it is still there, or None."""
    assert step.undo is not None  # noqa: S101 - asked of steps with an undo only
    try:
        called(around, lane, step, doing="undo", part=step.undo)
        _restore_files(around, key)
        still_there = look(around, lane, step) is not None
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and the walk must go on
        return error
    return ServiceError(f"{key} was undone without an error, but can still be seen") if still_there else None


def _gone_with_their_service(around: Surroundings, left: dict[str, str]) -> Sequence[str]:
    """Return of the steps that are left those that went with their service, and cannot be seen any more.

    What they kept of others' files is put back; where that fails, `left` says why.
    """
    gone = [key for key in around.plan.steps if around.journal.last(key) == "undone"]
    went = [key for key in left if _went_with_its_service(around.plan, key, gone, left)]
    left |= {key: _unrestored(around, key) for key in went if not _still_seen(around, key)}
    return [key for key in went if not left[key]]


def _restore_files(around: Surroundings, key: str) -> None:
    """Put back what a step kept of others' files and has not put back by itself."""
    for said in KeptFiles(around.journal).restore_rest(around.host, key):
        around.report(key, said)


def _unrestored(around: Surroundings, key: str) -> str:
    """Put back the files of a step that nothing else is left of; return why that failed, or ""."""
    try:
        _restore_files(around, key)
    except McloudError as error:
        return str(error)
    return ""


def _still_seen(around: Surroundings, key: str) -> bool:
    """Whether what was to be undone is there for certain: of a service that is gone nobody can tell.

    A step without an undo made nothing of its own: what its probe sees is no sign.
    """
    lane, step = around.plan.steps.get(key, (None, None))
    if lane is None or not isinstance(step, Step) or step.undo is None:
        return False
    try:
        return look(around, lane, step) is not None
    except Exception:  # noqa: BLE001 - a plugin may raise anything, and the walk must go on
        return False


def _went_with_its_service(plan: Plan, key: str, gone: Sequence[str], left: Collection[str]) -> bool:
    """Whether the service that a step worked in was ended on this machine, all its foundations undone."""
    hook, plugin = key.split("/")[:2]
    founding = {f"{founded}/{plugin}" for founded in FOUNDATIONS}

    def founds(other: str) -> bool:
        return "/".join(other.split("/")[:2]) in founding

    # A founding step that nobody can undo says nothing; one whose undo failed says that the service lives.
    still = [
        other for other in left if other not in plan.steps or getattr(plan.steps[other][1], "undo", None)
    ]
    return hook not in FOUNDATIONS and any(map(founds, gone)) and not any(map(founds, still))
