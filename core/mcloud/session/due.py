"""What is due between an initiator and a joiner: after a broken connection all of it is said again."""

from collections.abc import Sequence
from typing import Literal, Protocol

from mcloud.errors import ProtocolError
from mcloud.inputs import Inputs
from mcloud.session.lobby import Guest
from mcloud.session.protocol import (
    Admission,
    Failed,
    Farewell,
    Go,
    Joined,
    Message,
    Progress,
    Proposal,
    Ready,
    Refusal,
    Token,
)

Phase = Literal["gather", "propose", "admit", "enter", "adapt", "over", "undo"]
"""In `undo` a run is taken back: nothing is due, each joiner is told when it is its turn."""
RUNNING: tuple[Phase, ...] = ("admit", "enter", "adapt")
NOT_PICKED = Refusal(
    reason="the operator of the initiator did not pick this machine, or its file does not name it",
    hint="if it shall be in the cloud, ask there, then type the same command again",
)
FELL_OUT = Refusal(
    reason="the cloud was formed without this machine, which fell out of the run before",
    hint="type the same command again on all machines: then it comes in",
)
PHASES: tuple[Phase, ...] = ("gather", "propose", "admit", "enter", "adapt", "over")


class Session(Protocol):
    """What the initiator has to say, and how far it is."""

    phase: Phase
    proposal: Proposal | None
    start: Go
    """What joiners enter by: again, and with the smaller roster, when machines have fallen out."""
    news: Go | None
    """What goes with `Go(adapt)`: the facts, and the roster if it was cut."""
    farewell: Farewell | None


def due(guest: Guest, session: Session) -> Sequence[tuple[str, Message]]:
    """Return what a guest must have been told by now, in order, each with a name of its own."""
    phase, proposal, farewell = session.phase, session.proposal, session.farewell
    if guest.standing == "failed":
        # Whatever the roster is by now: that the run goes on without it is the last word.
        reason = f"the run goes on without: {guest.reason}"
        return [("farewell", Farewell(mood="failed", reason=reason[:4000]))]
    if guest.refusal is not None:
        return [("refusal", guest.refusal)]
    said: list[tuple[str, Message]] = []
    # Who comes back when all is done needs the plan once more, to keep the record by it.
    if proposal is not None and (phase != "over" or (farewell is not None and farewell.mood == "done")):
        if fell_out(guest, proposal):
            # It waits: when the others are done it may be let in.
            return [("refusal", FELL_OUT)] if phase == "over" else []
        if not takes_part(guest, proposal):
            return [("refusal", NOT_PICKED)]
        said.append(("proposal", proposal))
    if guest.outlook is not None and guest.standing == "here":
        said += _in_the_run(guest, session, guest.outlook.digest)
    if phase == "over" and farewell is not None:
        said.append(("farewell", farewell))
    return said


def takes_part(guest: Guest, proposal: Proposal) -> bool:
    """Return whether a roster holds this machine, and not another one of its name."""
    node = proposal.inputs.node(guest.name)
    return node is not None and node.fingerprint == guest.fingerprint


def fell_out(guest: Guest, proposal: Proposal) -> bool:
    """Return whether a machine is one of those that were to be in, and fell out of the run."""
    fallen = proposal.inputs.fallen
    return any((node.name, node.fingerprint) == (guest.name, guest.fingerprint) for node in fallen)


def _in_the_run(guest: Guest, session: Session, digest: str) -> Sequence[tuple[str, Message]]:
    said: list[tuple[str, Message]] = []
    phase, start, news = session.phase, session.start, session.news
    if phase in {"admit", "enter", "adapt"}:
        said.append(("admission", Admission(digest=digest)))
    if phase == "enter":
        # By the size of the roster, which is another each time they go through this stage once more.
        said.append((f"go enter {size(start.inputs)}".removesuffix(" 0"), start))
    if phase in {"enter", "adapt"}:
        said += [
            (f"token {plugin}", Token(plugin=plugin, value=guest.tokens[plugin]))
            for plugin in sorted(guest.asked)
            if plugin in guest.tokens
        ]
    if phase == "adapt" and news is not None and not guest.entering:
        said.append(("go adapt", news))
    return said


def size(inputs: Inputs | None) -> int:
    """Return how many machines a roster holds, 0 for the one that was proposed."""
    return len(inputs.nodes) if inputs is not None else 0


def timely(guest: Guest, message: Ready | Progress | Joined | Failed, *, phase: Phase) -> bool:
    """Return whether a message about a joiner's work is to be heeded; ProtocolError if it is too early.

    Who was in the middle of its work when this session began may be ahead of us: what it says then
    is let pass, because it says it again when it is told to go.
    """
    if phase == "undo":
        return isinstance(message, Progress)
    stage = message.stage if isinstance(message, Joined | Failed) else "enter"
    if guest.outlook is not None and PHASES.index(phase) >= PHASES.index(stage):
        return True
    if guest.outlook is None or guest.introduction is None or not guest.introduction.run:
        raise ProtocolError(f"{guest.name} said {type(message).__name__} before it was told to begin")
    return False
