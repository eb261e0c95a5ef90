"""The order of play: what two real halves say is what the script says, and neither bears anything else."""

import itertools
import json
import queue
import threading
from collections import defaultdict

import pytest

from mcloud import JoinToken, Manifest, Node, ProtocolError, Step, errors, hookimpl
from mcloud.cloud import plan_digest, plan_for
from mcloud.inputs import Inputs
from mcloud.joining import Joining
from mcloud.plugins import Plugins
from mcloud.record import record_step, unknown_yet
from mcloud.secrets import Secrets
from mcloud.session.certificates import make_credentials
from mcloud.session.initiator import Initiator
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.protocol import (
    SCRIPT,
    VERSION,
    Admission,
    Failed,
    Farewell,
    Go,
    Hello,
    Introduction,
    Joined,
    Outlook,
    Progress,
    Proposal,
    Ready,
    Refusal,
    Token,
    decode,
    encode,
)
from mcloud.session.transport import Connection, ConnectionLost
from mcloud.state import State
from mcloud.testing import FakeHost
from mcloud.watch import Happening

PATIENCE = 5.0

# ---- what is said in a whole formation -----------------------------------------------------------------


@pytest.fixture
def spoken(monkeypatch):
    """Record what is said, by connection: (who, type)."""
    said = defaultdict(list)
    whole, lock = Connection.send, threading.Lock()

    def send(self, message):
        try:
            kind = json.loads(message)["type"]
        except ValueError:
            kind = "of the trust plugin"
        with lock:
            # Both ends of a connection are in this process; its server's certificate and the joiner's
            # side of it are all they share, so each end has a list of its own.
            said[id(self), "initiator" if self._server else "joiner"].append(kind)
        return whole(self, message)

    monkeypatch.setattr(Connection, "send", send)
    return said


def _plays(who, kinds):
    """Follow the script with what one side said in one connection; return the beats it came through."""
    beats, place = [], 0
    for kind in kinds:
        if kind == "of the trust plugin":
            assert beats[-1] in {"greet", "agree"}
            beats.append("agree")
            place = 1
            continue
        for later in range(place, len(SCRIPT)):
            if kind in SCRIPT[later][2 if who == "initiator" else 3]:
                place = later
                beats.append(SCRIPT[later][0])
                break
        else:
            raise AssertionError(f"{who} said {kind} after {beats}, which the script does not know: {kinds}")
    return beats


def test_what_is_said_is_the_script(make_cloud, spoken):
    make_cloud(3).form().good()
    played = {(who, tuple(dict.fromkeys(_plays(who, kinds)))) for (_end, who), kinds in spoken.items()}
    assert played == {
        ("joiner", ("greet", "agree")),
        ("initiator", ("greet", "agree")),
        ("joiner", ("meet", "hear", "admit", "part")),
        ("initiator", ("welcome", "admit", "part")),
    }


def test_it_is_the_script_also_where_a_joiner_fails(make_cloud, spoken, store, failing):
    make_cloud(3, plugins={"store": store, "failing": failing("n3")}).form()
    for (_end, who), kinds in spoken.items():
        assert _plays(who, kinds)
        assert kinds[-1] in {"farewell", "of the trust plugin"}


def test_all_messages_have_a_place_in_the_script():
    spoken = {kind for beat in SCRIPT for kinds in beat[2:] for kind in kinds}
    known = {kind.model_fields["type"].default for kind in _messages_types()}
    assert spoken == known


def _messages_types():
    return [
        Hello, Introduction, Proposal, Refusal, Outlook, Admission, Go, Ready, Token, Progress, Joined,
        Failed, Farewell,
    ]  # fmt: skip


# ---- one half, and everything that the other may say at the wrong moment -------------------------------


class End:
    """One end of a connection in memory."""

    def __init__(self, certificate):
        self.inbox, self.other = queue.SimpleQueue(), None
        self.peer_address = "10.0.0.9"
        self.peer_certificate = self.own_certificate = self.server_certificate = certificate
        self.alive = True

    def send(self, message):
        if not self.alive:
            raise ConnectionLost("the connection is closed", reason="closed")
        self.other.inbox.put(bytes(message))

    def receive(self, timeout=None):
        got = self.inbox.get(timeout=timeout or PATIENCE)
        if isinstance(got, ConnectionLost):
            self.inbox.put(got)
            raise got
        return got

    def abide(self, limits):
        self.limits = limits

    def close(self, reason=""):
        if self.alive and self.other.alive:
            self.other.inbox.put(ConnectionLost("closed by the other side", reason=reason))
        self.alive = False

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        self.close()

    def hear(self, *kinds):
        """Return the next message of one of these kinds, whatever comes before it."""
        while not isinstance(message := decode(self.receive(), *_messages_types()), kinds):
            pass
        return message


@pytest.fixture(scope="module")
def credentials():
    return {name: make_credentials(name) for name in ("n1", "n2")}


@pytest.fixture
def ends(credentials):
    near, far = End(credentials["n1"].der), End(credentials["n1"].der)
    near.other, far.other = far, near
    return near, far


class Service:
    """Joined with a token, and adapted."""

    def __init__(self):
        self.may_join = threading.Event()
        self.may_join.set()

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="")

    @hookimpl
    def issue_token(self):
        yield Step(name="token", run=lambda _ctx: [JoinToken(value="the token")], offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        yield self._write("join", () if node.founder else (JoinToken,))

    @hookimpl
    def adapt(self):
        yield self._write("adapt", ())

    def _write(self, name, needs):
        def run(ctx):
            assert self.may_join.wait(PATIENCE)
            ctx.host.write(f"/{name}", "x")

        return Step(
            name=name,
            run=run,
            probe=lambda ctx: () if ctx.host.read(f"/{name}") else None,
            needs=needs,
        )


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def plugins(service):
    return Plugins.of(service=service)


@pytest.fixture
def inputs(credentials, plugins):
    nodes = [
        {
            "name": name,
            "addresses": [f"10.0.0.{number}"],
            "founder": name == "n1",
            "fingerprint": credentials[name].fingerprint,
        }
        for number, name in enumerate(("n1", "n2"), start=1)
    ]
    return Inputs.model_validate(
        {
            "run": "0" * 16,
            "command": "init",
            "cloud": "c",
            "nodes": nodes,
            "services": ["service"],
            "versions": plugins.versions,
        }
    )


@pytest.fixture
def digest(plugins, inputs, tmp_path):
    step = record_step(State(tmp_path / "x"), inputs, unknown_yet)
    return plan_digest(plan_for(plugins, inputs, "n2", step), inputs)


@pytest.fixture
def messages(credentials, inputs, plugins, digest):
    """Return one good message of each kind, by name."""
    node = inputs.node("n2")
    happening = Happening(
        machine="n2", plugin="service", hook="join", about="n2", step="join", what="started"
    )
    said = [
        Hello(
            version=VERSION, role="joiner", methods=("words",), nonce="0" * 32, name="n2", address="10.0.0.2",
            certificate=credentials["n2"].certificate,
        ),
        Introduction(node=node, versions=plugins.versions),
        Proposal(purpose="run", inputs=inputs),
        Refusal(reason="no"),
        Outlook(lines=(), digest=digest),
        Admission(digest=digest),
        Ready(plugin="service"),
        Token(plugin="service", value="the token"),
        Progress(happening=happening),
        Failed(stage="enter", lines=("broken",)),
        Farewell(mood="failed", reason="enough"),
    ]  # fmt: skip
    named = {message.type: message for message in said}
    for stage in ("enter", "adapt"):
        named[f"go {stage}"] = Go(stage=stage)
        named[f"joined {stage}"] = Joined(stage=stage)
    return named


# ---- the initiator is fed ------------------------------------------------------------------------------

INITIATOR_MOMENTS = ("begins", "gather", "propose", "planned", "admit", "enter", "adapt", "over")
BORNE = {
    "begins": {"introduction"},
    "gather": set(),
    "propose": {"outlook"},
    "planned": set(),
    "admit": set(),
    "enter": {"ready", "progress", "joined enter", "failed"},
    "adapt": {"ready", "progress", "joined enter", "failed", "joined adapt"},
    "over": {"ready", "progress", "joined enter", "failed", "joined adapt"},
}
SPOKEN = [
    "hello", "introduction", "proposal", "refusal", "outlook", "admission", "go enter", "go adapt", "ready",
    "token", "progress", "joined enter", "joined adapt", "failed", "farewell",
]  # fmt: skip


class Notes:
    """A listener that agrees to everything."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, what):
        return lambda *_given: self.heard.append(what)


@pytest.fixture
def initiator(plugins, credentials):
    return Initiator(
        plugins=plugins,
        credentials=credentials["n1"],
        name="n1",
        address="10.0.0.1",
        method="words",
        book=None,
        listener=Notes(),
    )


@pytest.fixture
def lead_to(initiator, ends, messages, credentials):
    """Return a function that leads a conversation to a moment; it gives the joiner's end."""
    near, far = ends

    def lead(moment):
        guest = initiator.lobby.pin("n2", credentials["n2"].certificate)
        served = threading.Thread(target=initiator.member, args=(near, guest.fingerprint), daemon=True)
        served.start()
        place = INITIATOR_MOMENTS.index(moment)
        if place >= INITIATOR_MOMENTS.index("gather"):
            far.send(encode(messages["introduction"]))
        if place >= INITIATOR_MOMENTS.index("propose"):
            initiator.proposal = messages["proposal"]
            initiator.news = messages["go adapt"]
            initiator.farewell = Farewell(mood="done", cloud={})
            with initiator.lobby.changed:
                assert initiator.lobby.changed.wait_for(lambda: guest.standing == "here", PATIENCE)
            initiator.enter("propose")
            far.hear(Proposal)
        if place >= INITIATOR_MOMENTS.index("planned"):
            far.send(encode(messages["outlook"]))
            with initiator.lobby.changed:
                assert initiator.lobby.changed.wait_for(lambda: guest.outlook is not None, PATIENCE)
        for phase in ("admit", "enter", "adapt", "over"):
            if place >= INITIATOR_MOMENTS.index(phase):
                initiator.enter(phase)
        return guest, served, far

    return lead


@pytest.mark.parametrize(("moment", "said"), list(itertools.product(INITIATOR_MOMENTS, SPOKEN)))
def test_an_initiator_bears_only_what_is_in_the_script(lead_to, messages, moment, said):
    guest, served, far = lead_to(moment)
    far.send(encode(messages[said]))
    if said in BORNE[moment]:
        far.send(encode(Farewell(mood="done")))  # borne: it goes on listening and hears this
    served.join(PATIENCE)
    assert not served.is_alive()
    last = _last_words(far)
    if said in BORNE[moment] or (said == "farewell" and moment != "begins"):
        assert not any(isinstance(message, Farewell) and "was said" in message.reason for message in last)
        assert guest.connection is None
    else:
        assert isinstance(last[-1], Farewell)
        assert last[-1].mood == "failed"
        assert guest.standing == ("trusted" if moment == "begins" else guest.standing)
        if moment in {"enter", "adapt"}:
            assert guest.standing == "failed"


@pytest.mark.parametrize("moment", INITIATOR_MOMENTS)
@pytest.mark.parametrize(
    "nonsense", [b"", b"[]", b"{", b'{"type":"ready","type":"ready"}', b"\xff", b"[" * 5000]
)
def test_an_initiator_ends_a_conversation_with_nonsense(lead_to, moment, nonsense):
    _guest, served, far = lead_to(moment)
    far.send(nonsense)
    served.join(PATIENCE)
    assert not served.is_alive()
    assert _last_words(far)[-1].mood == "failed"


def _last_words(end):
    """Return all that came until the connection was closed."""
    said = []
    while True:
        try:
            said.append(decode(end.receive(), *_messages_types()))
        except ConnectionLost:
            return said


def test_a_joiner_that_resumes_is_not_blamed_for_being_ahead(lead_to, initiator, messages, inputs):
    """It goes on with its step while a new session begins, and says its end again when told to go."""
    messages["introduction"] = messages["introduction"].model_copy(update={"run": inputs.run})
    guest, served, far = lead_to("planned")
    for ahead in ("progress", "joined enter", "ready"):
        far.send(encode(messages[ahead]))
    far.send(encode(Farewell(mood="done")))
    served.join(PATIENCE)
    assert guest.standing == "parted"
    assert not {"settled", "ready", "progress"} & set(initiator.listener.heard)


def test_a_stranger_in_name_is_refused(lead_to, messages, inputs):
    other = inputs.node("n2").model_copy(update={"name": "n3"})
    messages["introduction"] = messages["introduction"].model_copy(update={"node": other})
    guest, served, far = lead_to("gather")
    served.join(PATIENCE)
    assert "introduces itself as somebody else" in _last_words(far)[-1].reason
    assert guest.standing == "trusted"


def test_who_is_not_picked_is_told_so(lead_to, initiator, messages, inputs):
    smaller = inputs.without(["n2"]).model_copy(update={"fallen": ()})
    messages["proposal"] = messages["proposal"].model_copy(update={"inputs": smaller})
    _guest, _served, far = lead_to("gather")
    initiator.proposal = messages["proposal"]
    initiator.enter("propose")
    assert "did not pick" in far.hear(Refusal).reason
    far.close()


# ---- the joiner is fed ---------------------------------------------------------------------------------

JOINER_MOMENTS = ("begins", "planned", "admitted", "entering", "entered", "adapting")
TAKEN = {
    "begins": {"proposal"},
    "planned": {"admission"},
    "admitted": {"admission", "go enter"},
    "entering": {"admission", "go enter", "token"},
    "entered": {"admission", "go enter", "token", "go adapt"},
    "adapting": {"admission", "go enter", "token", "go adapt"},
}


@pytest.fixture
def joiner(plugins, credentials, inputs):
    return Joiner(
        plugins=plugins,
        credentials=credentials["n2"],
        node=inputs.node("n2"),
        methods=("words",),
        versions=plugins.versions,
    )


@pytest.fixture
def converse(joiner, plugins, credentials, ends, messages, tmp_path):
    """Return a function that leads a joiner to a moment; it gives how it ended, its thread and our end."""
    near, far = ends
    work = Joining(
        plugins=plugins,
        host=FakeHost(name="n2"),
        state=State(tmp_path / "n2"),
        known=Secrets(),
        joiner=joiner,
        peer=Peer("n1", "10.0.0.1", 9442, credentials["n1"].certificate),
        watch=lambda _happening: None,
    )

    def lead(moment):
        ended = []

        def talk():
            try:
                ended.append(joiner.converse(near, work))
            except errors.McloudError as error:
                ended.append(error)
            work.stop()

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        far.hear(Introduction)
        place = JOINER_MOMENTS.index(moment)
        for first, said, answer in (
            ("planned", "proposal", Outlook),
            ("admitted", "admission", None),
            ("entering", "go enter", Ready),
            ("entered", "token", Joined),
            ("adapting", "go adapt", Joined),
        ):
            if place >= JOINER_MOMENTS.index(first):
                far.send(encode(messages[said]))
                if answer is not None:
                    far.hear(answer)
        return ended, thread, far

    return lead


@pytest.mark.parametrize(("moment", "said"), list(itertools.product(JOINER_MOMENTS, SPOKEN)))
def test_a_joiner_bears_only_what_is_in_the_script(converse, messages, moment, said):
    ended, thread, far = converse(moment)
    far.send(encode(messages[said]))
    if said in TAKEN[moment]:
        far.send(encode(Farewell(mood="failed", reason="that will do")))
    mood = far.hear(Farewell).mood
    far.close("goodbye")
    thread.join(PATIENCE)
    (end,) = ended
    assert mood == "failed"
    if said in TAKEN[moment] or said == "farewell":
        assert isinstance(end, Farewell)
    elif (moment, said) == ("begins", "refusal"):
        assert "not taken: no" in str(end)
    else:
        assert isinstance(end, ProtocolError)


@pytest.mark.parametrize("moment", JOINER_MOMENTS)
def test_a_joiner_does_not_believe_in_an_end_that_comes_too_early(converse, inputs, moment):
    ended, thread, far = converse(moment)
    members = [{"name": node.name} for node in inputs.nodes]
    far.send(encode(Farewell(mood="done", cloud={"id": inputs.run, "name": "c", "members": members})))
    far.hear(Farewell)
    far.close("goodbye")
    thread.join(PATIENCE)
    assert isinstance(ended[0], Farewell if moment == "adapting" else ProtocolError)


def test_a_joiner_does_not_take_another_clouds_record(converse):
    ended, thread, far = converse("adapting")
    far.send(encode(Farewell(mood="done", cloud={"id": "f" * 16})))
    far.hear(Farewell)
    far.close("goodbye")
    thread.join(PATIENCE)
    assert "record of another cloud" in str(ended[0])


@pytest.mark.parametrize(
    ("said", "update", "reason"),
    [
        ("admission", {"digest": "0" * 64}, "not the plan of this machine"),
        ("token", {"plugin": "other"}, "nobody asked for"),
    ],
)
def test_a_joiner_does_what_was_confirmed_and_nothing_else(converse, messages, said, update, reason):
    ended, thread, far = converse("planned" if said == "admission" else "entering")
    far.send(encode(messages[said].model_copy(update=update)))
    assert reason in far.hear(Farewell).reason
    far.close("goodbye")
    thread.join(PATIENCE)
    assert isinstance(ended[0], ProtocolError)


def test_a_joiner_that_has_its_token_does_not_ask_again(converse, messages, service):
    """What it said with the question ("I am out") is not true any more while it joins."""
    service.may_join.clear()
    ended, thread, far = converse("entering")
    far.send(encode(messages["token"]))
    while far.hear(Progress).happening.what != "started":
        pass
    for said in ("go enter", "token", "farewell"):
        far.send(encode(messages[said]))
    said = []
    while not said or not isinstance(said[-1], Farewell):
        said.append(decode(far.receive(), *_messages_types()))
    service.may_join.set()
    far.close("goodbye")
    thread.join(PATIENCE)
    assert isinstance(ended[0], Farewell)
    assert not [message for message in said if isinstance(message, Ready)]


@pytest.mark.parametrize("sinner", ["without us", "we the founder"])
def test_a_joiner_does_not_take_any_roster(converse, messages, inputs, sinner):
    founder = inputs.node("n2").model_copy(update={"founder": True})
    changed = {
        "without us": inputs.without(["n2"]),
        "we the founder": inputs.model_copy(update={"nodes": (founder,)}),
    }[sinner]
    messages["proposal"] = messages["proposal"].model_copy(update={"inputs": changed})
    ended, thread, far = converse("begins")
    far.send(encode(messages["proposal"]))
    assert "does not hold this machine" in far.hear(Farewell).reason
    far.close("goodbye")
    thread.join(PATIENCE)
    assert isinstance(ended[0], ProtocolError)


STRANGER = {"name": "n9", "addresses": ("10.0.0.9",)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda inputs: inputs.without(["n2"]), "without this machine"),
        (lambda inputs: inputs.model_copy(update={"services": ()}), "by more than their roster"),
        (
            lambda inputs: inputs.model_copy(update={"nodes": (*inputs.nodes, Node(**STRANGER))}),
            "by more than their roster",
        ),
        (
            lambda inputs: inputs.model_copy(update={"fallen": (Node(**STRANGER),)}),
            "by more than their roster",
        ),
    ],
    ids=["without us", "other services", "somebody new", "somebody unknown fallen"],
)
def test_a_changed_roster_is_one_of_those_that_were_confirmed(converse, inputs, change, said):
    ended, thread, far = converse("entered")
    far.send(encode(Go(stage="adapt", inputs=change(inputs))))
    assert said in far.hear(Farewell).reason
    far.close("goodbye")
    thread.join(PATIENCE)
    assert isinstance(ended[0], ProtocolError)


# ---- before trust --------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [kind for kind in SPOKEN if kind != "hello"])
def test_before_trust_only_hello_is_said(initiator, joiner, ends, messages, said):
    near, far = ends
    far.send(encode(messages[said]))
    with pytest.raises(ProtocolError):
        initiator.greet(near)
    with pytest.raises(ProtocolError):
        joiner.greet(_answered(ends, messages[said]))


def _answered(ends, message):
    near, far = ends
    far.inbox = queue.SimpleQueue()
    near.inbox = queue.SimpleQueue()
    far.send(encode(message))
    return near


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"version": 99}, "speaks version 99"),
        ({"role": "initiator"}, "no joiner"),
        ({"methods": ("another",)}, "no joiner"),
        ({"certificate": "no certificate"}, "certificate"),
    ],
)
def test_an_initiator_greets_only_who_can_join(initiator, ends, messages, update, reason):
    near, far = ends
    far.send(encode(messages["hello"].model_copy(update=update)))
    with pytest.raises(ProtocolError, match=reason):
        initiator.greet(near)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"version": 99}, "speaks version 99"),
        ({"role": "joiner"}, "no initiator"),
        ({"methods": ("another",)}, "no initiator"),
        ({"methods": ("words", "another")}, "no initiator"),
        ({}, "another certificate than its connection shows"),
    ],
)
def test_a_joiner_greets_only_who_can_lead(joiner, ends, messages, update, reason):
    hello = messages["hello"].model_copy(update={"role": "initiator", **update})
    with pytest.raises(ProtocolError, match=reason):
        joiner.greet(_answered(ends, hello))


def test_an_initiator_without_a_code_lets_nobody_new_in(initiator, ends):
    with pytest.raises(ProtocolError, match="nobody new is expected"):
        initiator.stranger(ends[0])
