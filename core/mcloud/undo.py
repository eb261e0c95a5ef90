"""Take a run back on this machine: its journal read backwards, what was adopted left alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mcloud.cloud import plan_for
from mcloud.context import Context, Surroundings, read_offers
from mcloud.errors import McloudError, ProtocolError, RunFailed, ServiceError
from mcloud.host import Host
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.plan import Lane, Plan
from mcloud.plugins import Plugins
from mcloud.preview import look
from mcloud.record import record_step, unknown_yet
from mcloud.state import State
from mcloud.steps import Step
from mcloud.watch import Watch, nobody, of_step

OURS = frozenset({"started", "done", "failed"})
FOUNDATIONS = frozenset({"bootstrap", "join"})
"""Hooks whose undo ends the service on this machine: what lived inside it is gone then."""


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
    """Return the steps that this run changed something with, the last one first."""
    begun: dict[str, None] = {}
    for line in journal.lines():
        if line["event"] == "started" and line["key"] in plan.steps:
            begun.pop(line["key"], None)
            begun[line["key"]] = None
    found = []
    for key in reversed(begun):
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

    Once nothing is left `forget` is called: it takes away what is kept of the run beside its journal,
    before that says that all was taken back, and nobody looks at it any more. Can be interrupted and
    called again. Steps that failed to be undone count as gone if the founding or the join of their
    service was undone after them, and they cannot be seen any more.
    """
    journal = around.journal
    if not journal.closed:
        journal.write("undoing")

    def report(key: str, text: str) -> None:
        watch(of_step(*around.plan.steps[key], "report", text=text))

    around.report = report
    unknown = "it was done by another version of its plugin, which alone knows how to take it back"
    taken, left = list[str](), dict.fromkeys(forgotten(around.plan, journal), unknown)
    # All of them first: what a step wanted was made before it, and is walked to after it.
    for key, (_lane, maker) in around.plan.steps.items():
        around.board.put(key, read_offers(journal.offers(key), maker.offers))
    for key, lane, step in to_undo(around.plan, journal):
        reason = _take_back(around, key, lane, step)
        if reason is None:
            journal.write("undone", key)
            taken.append(key)
        else:
            left[key] = reason
        if step.undo is not None:
            watch(of_step(lane, step, "undone" if reason is None else "left", text=reason or ""))
    gone = [key for key in around.plan.steps if journal.last(key) == "undone"]
    went = [key for key in left if _went_with_its_service(around.plan, key, gone, left)]
    for key in [key for key in went if not _still_seen(around, key)]:
        journal.write("undone", key, note="gone with its service")
        taken.append(key)
        del left[key]
    if not left:
        forget()
        journal.write("reverted")
    return Undone(tuple(taken), left)


def _take_back(around: Surroundings, key: str, lane: Lane, step: Step) -> str | None:
    """Undo one step; return why it is still there, or None."""
    if step.undo is None:
        return "this step cannot be taken back"
    try:
        step.undo(Context(around, lane, step, doing="undo"))
        still_there = look(around, lane, step) is not None
    except McloudError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and the walk must go on
        return f"{type(error).__name__}: {error}"
    return f"{key} was undone without an error, but can still be seen" if still_there else None


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
