"""The lobby: who is pinned, here or away; and what each must have been told by now."""

import threading
from types import SimpleNamespace

import pytest

from mcloud import ProtocolError
from mcloud.inputs import Inputs
from mcloud.model import Node
from mcloud.session.certificates import fingerprint, make_credentials
from mcloud.session.due import PHASES, due
from mcloud.session.lobby import Lobby
from mcloud.session.protocol import Farewell, Go, Introduction, Joined, Outlook, Proposal, Refusal, decode
from mcloud.session.transport import ConnectionLost


class Wire:
    """A connection that remembers what was sent."""

    def __init__(self):
        self.sent, self.closed, self.broken, self.peer_address = [], None, False, "10.0.0.2"

    def send(self, message):
        if self.broken:
            raise ConnectionLost("broken", reason="broken")
        self.sent.append(message)

    def close(self, reason=""):
        self.closed = reason


@pytest.fixture(scope="module")
def certificates():
    return [make_credentials(name).certificate for name in ("n2", "n3")]


@pytest.fixture
def lobby():
    return Lobby()


def _introduction(name="n2"):
    return Introduction(node=Node(name=name, addresses=("10.0.0.2",)), versions={})


def test_a_pin_stays(lobby, certificates):
    guest = lobby.pin("n2", certificates[0], "10.0.0.2")
    assert lobby.pin("n2", certificates[0]) is guest
    assert lobby.pins() == {fingerprint(certificates[0]): certificates[0]}
    assert lobby.guest(guest.fingerprint) is guest
    assert guest.standing == "trusted"
    assert lobby.here() == ()


def test_nobody_comes_in_unpinned(lobby):
    with pytest.raises(ProtocolError, match="not pinned"):
        lobby.guest("0" * 64)


def test_who_comes_is_here_and_who_leaves_is_away(lobby, certificates):
    guest, wire = lobby.pin("n2", certificates[0]), Wire()
    guest.come(wire, _introduction())
    assert lobby.here() == (guest,)
    assert guest.leave(wire, "the line broke")
    assert (guest.standing, guest.reason, lobby.here()) == ("away", "the line broke", ())
    guest.come(Wire(), _introduction())
    assert (guest.standing, guest.reason) == ("here", "")


def test_a_new_connection_takes_the_place_of_the_old(lobby, certificates):
    guest, old, new = lobby.pin("n2", certificates[0]), Wire(), Wire()
    assert guest.come(old, _introduction()) is None
    assert guest.come(new, _introduction()) is old, "for its caller to close"
    assert not guest.leave(old, "late news")
    assert guest.standing == "here"
    assert guest.connection is new


def test_who_failed_stays_failed(lobby, certificates):
    guest = lobby.pin("n2", certificates[0])
    guest.come(Wire(), _introduction())
    guest.standing, guest.reason = "failed", "the disk burns"
    guest.come(Wire(), _introduction())
    assert (guest.standing, guest.reason) == ("failed", "the disk burns")


def test_a_thing_is_said_once_a_connection(lobby, certificates):
    guest, wire = lobby.pin("n2", certificates[0]), Wire()
    farewell = Farewell(mood="done")
    guest.say(farewell, once="farewell")  # nobody is there
    guest.come(wire, _introduction())
    for _ in range(2):
        guest.say(farewell, once="farewell")
    assert len(wire.sent) == 1
    guest.come(again := Wire(), _introduction())
    guest.say(farewell, once="farewell")
    assert decode(again.sent[0], Farewell) == farewell


def test_a_broken_line_is_noticed_by_who_listens_on_it(lobby, certificates):
    guest, wire = lobby.pin("n2", certificates[0]), Wire()
    guest.come(wire, _introduction())
    wire.broken = True
    guest.say(Farewell(mood="done"), once="farewell")
    assert guest.standing == "here"


def test_who_was_told_to_enter_goes_on_when_it_is_in(lobby, certificates, proposal):
    """One that was in and was started anew has to look first, and the others may be further meanwhile."""
    guest = lobby.pin("n2", certificates[0])
    lobby.choose(["n2"])
    guest.done.add("enter")
    guest.come(Wire(), _introduction())
    guest.outlook = Outlook(lines=(), digest="0" * 64)
    for once, message in due(guest, _session("enter", proposal)):
        guest.say(message, once=once)
    assert "go adapt" not in dict(due(guest, _session("adapt", proposal)))
    guest.note(Joined(stage="enter"))
    assert "go adapt" in dict(due(guest, _session("adapt", proposal)))
    guest.come(Wire(), _introduction())
    guest.outlook = Outlook(lines=(), digest="0" * 64)
    assert "go adapt" in dict(due(guest, _session("adapt", proposal)))


def test_who_is_here_goes_before_a_namesake_who_left(lobby, certificates):
    first, second = (lobby.pin("n2", certificate) for certificate in certificates)
    assert lobby.named("n9") is None
    for one, other in ((first, second), (second, first)):
        one.standing, other.standing = "here", "parted"
        assert lobby.named("n2") is one
        one.standing, other.standing = "failed", "away"
        assert lobby.named("n2") is other


def test_who_was_chosen_goes_before_a_namesake_whatever_it_does(lobby, certificates):
    first, second = (lobby.pin("n2", certificate) for certificate in certificates)
    first.standing, second.standing = "here", "refused"
    assert lobby.taken() == ()
    lobby.choose(["n2"])
    first.standing, second.standing = "failed", "here"
    assert lobby.named("n2") is first
    assert lobby.taken() == lobby.distinct() == (first,)
    assert (lobby.may_take_part(first), lobby.may_take_part(second)) == (True, False)


def test_who_is_here_keeps_its_name(lobby, certificates):
    """Another machine with a copy of its certificate may say another one."""
    guest = lobby.pin("n2", certificates[0])
    guest.come(Wire(), _introduction())
    assert lobby.pin("n9", certificates[0]).name == "n2"
    guest.leave(guest.connection, "gone")
    assert lobby.pin("n9", certificates[0]).name == "n9"


def test_there_are_so_many_certificates_and_no_more(lobby, certificates, monkeypatch):
    monkeypatch.setattr("mcloud.session.lobby.MOST_GUESTS", 1)
    guest = lobby.pin("n2", certificates[0])
    with pytest.raises(ProtocolError, match="in this session already"):
        lobby.pin("n3", certificates[1])
    assert lobby.pin("n2", certificates[0]) is guest
    assert lobby.all() == (guest,)


def test_what_is_said_at_the_end_is_made_printable(lobby, certificates):
    guest = lobby.pin("n2", certificates[0])
    guest.come(Wire(), _introduction())
    guest.part(Farewell(mood="failed", reason="\x1b[2J" + "x" * 3000), for_good=True)
    assert guest.standing == "parted"
    assert guest.reason.isprintable()
    assert len(guest.reason) == 500


def test_goodbyes_are_waited_for(lobby, certificates):
    here, away = lobby.pin("n2", certificates[0]), lobby.pin("n3", certificates[1])
    here.standing, away.standing = "here", "away"

    def part():
        here.standing = "parted"
        lobby.note()

    threading.Timer(0.05, part).start()
    lobby.wait_for_goodbyes((), 5)
    assert here.standing == "parted"
    lobby.wait_for_goodbyes(("n3",), 0.05)  # it may still come, but not for ever
    away.standing = "failed"
    lobby.wait_for_goodbyes(("n3",), 5)


# ---- what is due ---------------------------------------------------------------------------------------


@pytest.fixture
def guest(lobby, certificates):
    one = lobby.pin("n2", certificates[0])
    one.come(Wire(), _introduction())
    one.outlook = Outlook(lines=(), digest="0" * 64)
    return one


@pytest.fixture
def proposal(certificates):
    nodes = [
        {"name": "n1", "addresses": ["10.0.0.1"], "founder": True},
        {"name": "n2", "addresses": ["10.0.0.2"], "fingerprint": fingerprint(certificates[0])},
    ]
    return Proposal(
        purpose="run",
        inputs=Inputs.model_validate({"run": "0" * 16, "command": "init", "cloud": "c", "nodes": nodes}),
    )


def _session(phase, proposal, farewell=None, start=None):
    return SimpleNamespace(
        phase=phase,
        proposal=proposal,
        start=start or Go(stage="enter"),
        news=Go(stage="adapt"),
        farewell=farewell,
    )


def _names(guest, phase, proposal, farewell=None):
    said = due(guest, _session(phase, proposal, farewell))
    return [name for name, _message in said]


def test_each_phase_has_its_words(guest, proposal):
    done = Farewell(mood="done", cloud={})
    told = {phase: _names(guest, phase, proposal, done) for phase in PHASES if phase != "gather"}
    assert told == {
        "propose": ["proposal"],
        "admit": ["proposal", "admission"],
        "enter": ["proposal", "admission", "go enter"],
        "adapt": ["proposal", "admission", "go adapt"],
        "over": ["proposal", "farewell"],
    }
    assert _names(guest, "gather", None) == []


def test_where_machines_fall_out_the_others_enter_once_more(guest, proposal):
    guest.tokens, guest.asked, guest.done = {"ceph": "x"}, {"ceph"}, {"enter"}
    first = dict(due(guest, _session("enter", proposal)))
    guest.said |= first.keys()
    guest.enter_again()
    smaller = Go(stage="enter", inputs=proposal.inputs)
    again = dict(due(guest, _session("enter", proposal, start=smaller)))
    assert first.keys() - again.keys() == {"go enter", "token ceph"}
    assert "go adapt" not in guest.said
    assert again["go enter 2"] is smaller
    # A token of the larger roster may lack what the smaller one asks for: it is made and said anew.
    assert "token ceph" not in guest.said
    assert guest.done == set()


def test_before_its_plan_is_heard_nothing_is_confirmed(guest, proposal):
    guest.outlook = None
    assert _names(guest, "enter", proposal) == ["proposal"]


def test_tokens_are_said_to_who_asked_in_this_connection(guest, proposal):
    guest.tokens = {"lxd": "x", "ceph": "y"}
    assert "token lxd" not in _names(guest, "enter", proposal)
    guest.asked = {"lxd", "ovn"}
    assert _names(guest, "enter", proposal)[-1] == "token lxd"


def test_who_was_not_picked_is_told_that_alone(guest, proposal):
    smaller = proposal.inputs.without(["n2"]).model_copy(update={"fallen": ()})
    without = proposal.model_copy(update={"inputs": smaller})
    for phase in ("propose", "enter"):
        assert _names(guest, phase, without) == ["refusal"]


def test_who_fell_out_waits_until_the_others_are_done(guest, proposal):
    without = proposal.model_copy(update={"inputs": proposal.inputs.without(["n2"])})
    for phase in ("propose", "admit", "enter", "adapt"):
        assert _names(guest, phase, without) == []
    ((name, message),) = due(guest, _session("over", without, Farewell(mood="done", cloud={})))
    assert name == "refusal"
    assert "fell out of the run before" in message.reason
    assert "type the same command again on all machines" in message.hint
    assert _names(guest, "over", without, Farewell(mood="failed")) == ["farewell"]


def test_a_namesake_of_one_who_takes_part_is_not_that_machine(lobby, certificates, proposal):
    other = lobby.pin("n2", certificates[1])
    other.come(Wire(), _introduction())
    assert _names(other, "enter", proposal) == ["refusal"]


def test_who_is_refused_is_told_that_alone_until_it_comes_again(guest, proposal):
    guest.refuse(Refusal(reason="it does not fit", problems=("lxd: wanted 5.0.x; found 4.0.1",)))
    assert (guest.standing, guest.reason) == ("refused", "lxd: wanted 5.0.x; found 4.0.1")
    assert _names(guest, "enter", proposal) == ["refusal"]
    guest.come(Wire(), _introduction())
    assert (guest.standing, guest.reason) == ("here", "")
    assert "refusal" not in _names(guest, "gather", None)


def test_who_failed_is_told_goodbye(guest, proposal):
    guest.standing, guest.reason = "failed", "the disk burns"
    said = due(guest, _session("enter", proposal))
    assert [name for name, _message in said] == ["farewell"]
    assert "the disk burns" in said[-1][1].reason


@pytest.mark.parametrize("mood", ["failed", "aborted", "planned"])
def test_after_a_bad_end_there_is_no_plan_any_more(guest, proposal, mood):
    assert _names(guest, "over", proposal, Farewell(mood=mood)) == ["farewell"]
