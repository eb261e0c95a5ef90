"""Whatever a member says that went mad, at any moment, on both sides: an end with a reason, no traceback."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz import examples, hurt_json
from honest import N1, N2
from hypothesis import given
from hypothesis import strategies as st

from mcloud import JoinToken, Manifest, Step, errors, hookimpl
from mcloud.cloud import plan_digest, plan_for
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.joining import Joining
from mcloud.model import Disk, Nic, Node, ServiceState, Survey
from mcloud.plugins import Plugins
from mcloud.record import record_step, unknown_yet
from mcloud.secrets import Secrets
from mcloud.session import protocol as said
from mcloud.session.initiator import Initiator
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.transport import ConnectionLost
from mcloud.state import State
from mcloud.testing import FakeHost, memory_folder
from mcloud.watch import Happening

pytestmark = [
    pytest.mark.timeout(3600),
    # Python's own, about `false` in place of an address.
    pytest.mark.filterwarnings("ignore:__int__ returned non-int"),
]


class Line:
    """A connection on which everything was said before; then it breaks."""

    def __init__(self, *messages: bytes) -> None:
        self.peer_address, self.alive = "10.0.0.9", True
        self.coming = list(messages)
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def receive(self, timeout: float | None = None) -> bytes:
        if not self.coming:
            raise ConnectionLost("the line broke", reason="the line broke")
        return self.coming.pop(0)

    def abide(self, limits: object) -> None:
        """Nothing is waited for here."""

    def close(self, reason: str = "") -> None:
        self.alive = False

    def __enter__(self):
        return self

    def __exit__(self, *_what: object) -> None:
        self.close()


class Service:
    """Joined with a token, and adapted."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="")

    @hookimpl
    def issue_token(self):
        yield Step(name="token", run=lambda _ctx: [JoinToken(value="the token")], offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        needs = () if node.founder else (JoinToken,)
        yield Step(name="in", run=lambda _ctx: None, probe=lambda _ctx: (), needs=needs)

    @hookimpl
    def adapt(self):
        yield Step(name="on", run=lambda _ctx: None, probe=lambda _ctx: ())


PLUGINS = Plugins.of(service=Service())
SURVEY = Survey(
    disks=(Disk(device="/dev/sdb", size=2**40, links=("/dev/disk/by-id/x",)),),
    nics=(Nic(name="eth0", addresses=("10.0.0.2/24", "fd00::2/64")),),
)
NODES = tuple(
    Node(
        name=name,
        addresses=(f"10.0.0.{number}",),
        founder=number == 1,
        fingerprint=one.fingerprint,
        survey=SURVEY,
        services={"service": ServiceState(installed=True, version="1")},
    )
    for number, (name, one) in enumerate((("n1", N1), ("n2", N2)), start=1)
)
INPUTS = Inputs(
    run="0" * 16, command="init", cloud="c", nodes=NODES, services=("service",), versions=PLUGINS.versions
)
PROPOSAL = said.Proposal(purpose="run", inputs=INPUTS, secrets={"service": {"key": "tulip-hammer"}})


def digest(state: State) -> str:
    return plan_digest(plan_for(PLUGINS, INPUTS, "n2", record_step(state, INPUTS, unknown_yet)), INPUTS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with memory_folder() as made:
        yield made


COUNT = itertools.count()
DIGEST = digest(State(Path("/nowhere")))
HAPPENING = Happening(machine="n2", plugin="service", hook="join", about="n2", step="in", what="done")
JOINERS = {
    "introduction": said.Introduction(node=NODES[1], versions=PLUGINS.versions),
    "outlook": said.Outlook(
        lines=(said.OutlookLine(key="join/service/n2/n2/in", to_do=True),), digest=DIGEST
    ),
    "ready": said.Ready(plugin="service", request="00ff"),
    "progress": said.Progress(happening=HAPPENING),
    "joined": said.Joined(stage="enter", facts={"service": ({"kind": "Brick", "fact": {"a": 1}},)}),
    "failed": said.Failed(stage="enter", lines=("the disk burns",)),
    "farewell": said.Farewell(mood="aborted", reason="Ctrl-C"),
}
INITIATORS = {
    "proposal": PROPOSAL,
    "admission": said.Admission(digest=DIGEST),
    "go enter": said.Go(stage="enter"),
    "token": said.Token(plugin="service", value="the token"),
    "go adapt": said.Go(stage="adapt", inputs=INPUTS, facts={"service": {"n1": ()}}),
    "refusal": said.Refusal(reason="not picked"),
    "farewell": said.Farewell(mood="done", cloud={"id": INPUTS.run, "members": []}),
}


def after(messages: dict[str, said.Message], ways: tuple[tuple[str, ...], ...]):
    """Draw some that may be said, then one or two that make little sense."""
    whole = {name: said.encode(message) for name, message in messages.items()}
    hurt = st.one_of(
        st.sampled_from(sorted(whole)).flatmap(lambda name: hurt_json(whole[name])),
        st.sampled_from(sorted(whole)).map(whole.__getitem__),
        st.binary(max_size=60),
    )
    begun = st.sampled_from(ways).map(lambda names: [whole[name] for name in names])
    return st.builds(lambda first, then: [*first, *then], begun, st.lists(hurt, min_size=1, max_size=2))


# ---- to the initiator --------------------------------------------------------------------------------------


@examples(250)
@given(
    after(
        JOINERS,
        (
            (),
            ("introduction",),
            ("introduction", "outlook"),
            ("introduction", "outlook", "ready"),
            ("introduction", "outlook", "ready", "joined"),
        ),
    ),
    st.sampled_from(("gather", "propose", "admit", "enter", "adapt", "over")),
)
def test_an_initiator_is_told(folder, messages, phase):
    hosting = Hosting(PLUGINS, State(folder), Secrets(), lambda _what: None, lambda _text: None)
    hosting.expect(INPUTS)
    initiator = Initiator(
        plugins=PLUGINS,
        credentials=N1,
        name="n1",
        address="10.0.0.1",
        method="words",
        book=None,
        listener=hosting,
    )
    guest = initiator.lobby.pin("n2", N2.certificate)
    initiator.phase = phase
    initiator.proposal = None if phase == "gather" else PROPOSAL
    initiator.news = said.Go(stage="adapt")
    initiator.farewell = said.Farewell(mood="done", cloud={}) if phase == "over" else None
    line = Line(*messages)
    initiator.member(line, N2.fingerprint)
    assert guest.connection is None
    for message in line.sent:
        said.decode(message, said.Message)
        assert b"Traceback" not in message


# ---- to a joiner -------------------------------------------------------------------------------------------


@examples(150)
@given(
    after(
        INITIATORS,
        (
            (),
            ("proposal",),
            ("proposal", "admission"),
            ("proposal", "admission", "go enter"),
            ("proposal", "admission", "go enter", "token"),
        ),
    )
)
def test_a_joiner_is_told(folder, messages):
    joiner = Joiner(
        plugins=PLUGINS, credentials=N2, node=NODES[1], methods=("words",), versions=PLUGINS.versions
    )
    work = Joining(
        plugins=PLUGINS,
        host=FakeHost(name="n2"),
        state=State(folder / f"n2-{next(COUNT)}"),
        known=Secrets(),
        joiner=joiner,
        peer=Peer("n1", "10.0.0.1", 9442, N1.certificate),
        watch=lambda _happening: None,
    )
    line = Line(*messages)
    try:
        joiner.converse(line, work)
    except errors.McloudError as error:
        assert "tulip-hammer" not in f"{error} {error.hint}"
    finally:
        work.stop()
    for message in line.sent:
        said.decode(message, said.Message)
        assert b"tulip-hammer" not in message
