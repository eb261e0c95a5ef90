"""A live session as its operator sees it: who comes, leaves, returns, is refused, is picked; and guesses."""

import itertools
import socket
import threading
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from mcloud import Manifest, ServiceState, TrustError, errors, hookimpl
from mcloud import meeting as meeting_module
from mcloud.attendance import COLUMNS, rows
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.meeting import Meeting
from mcloud.model import Beacon, Node, Survey
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.selecting import everyone, picked
from mcloud.session import trust
from mcloud.session.certificates import make_credentials, short
from mcloud.session.code import make_code
from mcloud.session.guesses import GuessBook, Tries
from mcloud.session.joiner import Joiner
from mcloud.session.protocol import Farewell, Proposal, Refusal, decode, encode
from mcloud.session.transport import ConnectionLost, dial
from mcloud.state import Pin, State
from mcloud.testing import Scripted, memory_folder
from mcloud.testing.network import Relay

PATIENCE = 10.0
QUESTION = "Which machines shall be in the cloud?"


class Service:
    """A service of which others must have the same 5.0."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="", release_parts=2)

    @hookimpl
    def join(self):
        return ()


class Bell:
    """A discovery plugin that announces to nobody."""

    def __init__(self):
        self.beacon = None

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="")

    @hookimpl
    @contextmanager
    def announce(self, beacon):
        self.beacon = beacon
        yield


def node_of(name, address, credentials, version="5.0.2", **survey):
    state = ServiceState(installed=bool(version), version=version or "", missing=() if version else ("vmd",))
    return Node(
        name=name,
        addresses=(address,),
        fingerprint=credentials.fingerprint,
        survey=Survey(**survey),
        services={"vm": state},
    )


@pytest.fixture(scope="module")
def credentials():
    """Return a maker of certificates; each name's are made once."""
    made = {}
    return lambda name: made.setdefault(name, make_credentials(name))


class Room:
    """The initiator's session behind a real door on loopback."""

    def __init__(self, folder, credentials, **ordered):
        self.bell, self.operator = Bell(), Scripted()
        self.plugins = Plugins.of(words=trust, bell=self.bell, vm=Service())
        self.credentials = credentials
        known, state = Secrets(), State(folder)
        own = credentials("n1")
        order = {"services": ("vm",), "patience": PATIENCE, "port": 0, **ordered}
        self.meeting = Meeting(
            plugins=self.plugins,
            state=state,
            known=known,
            credentials=own,
            node=node_of("n1", "10.0.0.1", own),
            order=Order(command="init", cloud="c", discovery=("bell",), **order),
            operator=self.operator,
            hosting=Hosting(self.plugins, state, known, lambda _happening: None, self.operator.notice),
            listen="127.0.0.1",
        )

    @property
    def lobby(self):
        return self.meeting.initiator.lobby

    def gone(self, newcomer):
        """Whether it quit: then there is no row of it any more."""
        return all(row.key != newcomer.node.fingerprint for row in rows(self.lobby))

    def row(self, newcomer):
        found = [row for row in rows(self.lobby) if row.key == newcomer.node.fingerprint]
        assert len(found) == 1
        return found[0]

    def until(self, condition):
        give_up = time.monotonic() + PATIENCE
        with self.lobby.changed:
            while not condition():
                assert time.monotonic() < give_up, self.operator.notices
                self.lobby.changed.wait(0.05)  # what an operator is told wakes nobody

    def said(self, text):
        return any(text in notice for notice in self.operator.notices)

    def newcomer(self, name, address="10.0.0.2", **more):
        return Newcomer(self, name, address, **more)


class Newcomer:
    """A machine that comes to a session, one word at a time."""

    def __init__(self, room, name, address, *, own="", version="5.0.2", versions=None, port=None, **survey):
        credentials = room.credentials(own or name)
        self.room, self.port = room, port
        self.node = node_of(name, address, credentials, version, **survey)
        plugins = room.plugins.versions if versions is None else versions
        self.joiner = Joiner(room.plugins, credentials, self.node, methods=("words",), versions=plugins)
        self.peer = self.connection = None

    def trust(self, code=None):
        beacon = self.room.bell.beacon
        seen = Beacon(name=beacon.name, address="127.0.0.1", port=self.port or beacon.port)
        code = code or self.room.meeting.initiator.book.code
        with dial("127.0.0.1", seen.port, patience=2) as connection:
            self.peer = self.joiner.first_contact(connection, seen, code, Tries())
        return self

    def dial(self):
        self.connection = self.joiner.come_back(self.peer, patience=2)
        return self

    def introduce(self, run=""):
        self.joiner.introduce(self.connection, SimpleNamespace(run=run))
        return self

    def come(self):
        """Come in, and wait until it is seen."""
        self.trust().dial().introduce()
        self.room.until(lambda: not self.room.gone(self) and self.room.row(self).closed == "")
        return self

    def quit(self):
        """Be stopped by Ctrl-C while it makes its plan."""
        self.dial()
        with pytest.raises(KeyboardInterrupt):
            self.joiner.converse(self.connection, SimpleNamespace(run="", propose=interrupted))

    def hear(self, *kinds):
        return decode(self.connection.receive(timeout=PATIENCE), *kinds)

    def refusal(self):
        """Come in, be refused, and return the error the command ends with."""
        self.trust().dial()
        with pytest.raises(errors.McloudError) as caught:
            self.joiner.converse(self.connection, SimpleNamespace(run=""))
        return caught.value


def interrupted(_proposal):
    raise KeyboardInterrupt("stopped by its operator")


@pytest.fixture
def room_of(credentials):
    """Return a context in which a session is open."""

    @contextmanager
    def opened(pins=None, roster=None, **ordered):
        with memory_folder() as folder:
            room = Room(folder, credentials, **ordered)
            with room.meeting.session(pins or {}, roster):
                try:
                    yield room
                finally:
                    room.meeting.initiator.part("aborted", "the test is over", patience=0)

    return opened


# ---- who is here ---------------------------------------------------------------------------------------


def test_a_row_says_who_it_is_and_what_it_brings(room_of):
    disks = [{"device": f"/dev/sd{letter}", "size": 10 * 10**9} for letter in "abc"]
    disks[0]["busy"] = "mounted on /"
    with room_of() as room:
        n2 = room.newcomer("n2", disks=disks, memory=8 * 10**9).come()
        row = room.row(n2)
        brings = "vm 5.0.2; 2 disks 20 GB; 8 GB RAM"
        assert row.cells == ("n2", "127.0.0.1", short(n2.node.fingerprint), brings)
        assert len(row.cells) == len(COLUMNS)
        assert room.said(f"n2 (127.0.0.1) is here: {brings}")


def test_who_quits_before_the_selection_and_returns_is_the_same_row(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").come()
        n2.joiner.part(n2.connection, "aborted", "stopped by its operator")
        room.until(lambda: room.gone(n2))
        assert room.lobby.here() == ()
        room.until(lambda: room.said("n2 (127.0.0.1) left: stopped by its operator"))
        n2.come()
        assert len(rows(room.lobby)) == 1


def test_who_is_cut_off_is_away_and_comes_back_by_its_pin(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").come()
        n2.connection._wire.abort("pulled")
        room.until(lambda: room.row(n2).closed.startswith("away"))
        n2.dial().introduce()
        room.until(lambda: room.row(n2).closed == "")


def test_a_joiner_that_is_interrupted_says_so(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").come()
        room.meeting.initiator.choose(["n2"])
        room.meeting.initiator.proposal = proposal(room, n2)
        room.meeting.initiator.enter("propose")
        n2.quit()
        room.until(lambda: room.gone(n2))


def test_who_is_stopped_in_the_middle_of_a_run_may_come_back(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").come()
        initiator = room.meeting.initiator
        initiator.proposal = proposal(room, n2)
        for phase in ("propose", "admit", "enter"):
            initiator.enter(phase)
        n2.joiner.part(n2.connection, "aborted", "stopped by its operator")
        room.until(lambda: room.row(n2).closed == "away: stopped by its operator")


def proposal(room, *newcomers):
    founder = room.meeting.node.model_copy(update={"founder": True})
    nodes = [founder, *(one.node for one in newcomers)]
    inputs = Inputs(run="0" * 16, command="init", cloud="c", nodes=nodes, services=("vm",))
    return Proposal(purpose="run", inputs=inputs)


# ---- who is refused ------------------------------------------------------------------------------------


def test_the_second_of_one_name_is_refused_on_both_sides_until_the_first_has_left(room_of):
    with room_of() as room:
        first = room.newcomer("n2", "10.0.0.2").come()
        second = room.newcomer("n2", "10.0.0.3", own="other n2")
        error = second.refusal()
        assert "two machines are called n2: one at 10.0.0.2" in str(error)
        assert "another host name" in error.hint
        assert room.row(second).closed.startswith("refused: two machines are called n2")
        assert room.said("was refused: two machines are called n2")
        assert room.row(first).closed == ""
        first.joiner.part(first.connection, "aborted", "stopped by its operator")
        room.until(lambda: room.gone(first))
        second.come()
        assert room.gone(first)


@pytest.mark.parametrize(("name", "address"), [("n2", "10.0.0.3"), ("n3", "10.0.0.2"), ("n3", "10.0.0.3")])
def test_a_copy_of_a_machine_is_refused_and_the_machine_stays(room_of, name, address):
    with room_of() as room:
        first = room.newcomer("n2", "10.0.0.2").come()
        error = room.newcomer(name, address, own="n2").refusal()
        assert "two machines have the same certificate: n2 (10.0.0.2), which was here first" in str(error)
        assert "disk copied" in str(error)
        assert room.said("two machines have the same certificate")
        assert room.row(first).cells[0] == "n2"
        room.meeting.initiator.choose([])
        assert first.hear(Refusal), "it is still connected"


def test_a_copy_of_the_initiator_is_refused_and_so_is_its_name(room_of):
    with room_of() as room:
        copy = room.newcomer("n2", "10.0.0.2", own="n1")
        assert "the same certificate: n1 (10.0.0.1), which was here first" in str(copy.refusal())
        assert "n1 (10.0.0.1)" in room.row(copy).closed
        other = room.newcomer("n1", "10.0.0.2", own="other n1")
        assert "two machines are called n1: one at 10.0.0.1" in str(other.refusal())
        told = [notice for notice in room.operator.notices if "was refused" in notice]
        assert len(told) == 2
        assert not room.said("is away")


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        (None, "vm: wanted 5.0.x, as on n1; found nothing installed (vmd missing)"),
        ("4.0.2", "vm: wanted 5.0.x, as on n1; found 4.0.2"),
        ("5.21", "vm: wanted 5.0.x, as on n1; found 5.21"),
    ],
)
def test_who_lacks_a_service_or_has_another_version_is_refused_with_wanted_and_found(
    room_of, version, problem
):
    with room_of() as room:
        n2 = room.newcomer("n2", version=version)
        error = n2.refusal()
        assert isinstance(error, errors.SettingsError)
        assert error.problems == (problem,)
        assert room.row(n2).closed == f"refused: {problem}"


@pytest.mark.parametrize("version", ["5.0.2", "5.0.9", "5.0"])
def test_a_version_that_fits_need_not_be_the_same(room_of, version):
    with room_of() as room:
        room.newcomer("n2", version=version).come()


def test_other_plugins_are_refused_when_they_come(room_of):
    with room_of() as room:
        for versions, found in (({"vm": "0.9"}, "0.9"), ({}, "none")):
            error = room.newcomer("n2", versions=versions).refusal()
            assert error.problems == (f"plugin vm: wanted 0, as on the initiator; found {found}",)


def test_who_is_in_the_middle_of_a_run_is_not_looked_at_anew(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2", version=None).trust().dial().introduce(run="0" * 16)
        room.until(lambda: room.row(n2).closed == "")


def test_what_does_not_fit_can_be_put_right(room_of):
    with room_of() as room:
        room.newcomer("n2", version="4.0").refusal()
        n2 = room.newcomer("n2", version="5.0").come()
        assert len(rows(room.lobby)) == 1
        assert room.row(n2).closed == ""


# ---- who is picked -------------------------------------------------------------------------------------


def test_who_is_not_picked_is_told_at_once(room_of):
    with room_of() as room:
        two, three = (room.newcomer(f"n{n}", f"10.0.0.{n}").come() for n in (2, 3))
        names = picked(Scripted({QUESTION: two.node.fingerprint}))(room.meeting)
        assert names == ("n2",)
        room.meeting.initiator.choose(names)
        assert "did not pick" in three.hear(Refusal).reason
        assert room.row(three).closed.startswith("refused: the operator")
        late = room.newcomer("n4", "10.0.0.4")
        assert "did not pick" in str(late.refusal())
        assert room.row(two).closed == ""


class Hand:
    """A prompter whose table is handed to a function."""

    def __init__(self, use):
        self.use = use

    def pick(self, pick):
        return self.use(pick)


def test_a_machine_that_left_while_the_table_was_open_cannot_be_picked(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").come()

        def use(pick):
            (row,) = pick.rows()
            assert (pick.columns, pick.least, pick.most, row.picked) == (COLUMNS, 1, 49, False)
            assert pick.check([row.key]) == ""
            n2.joiner.part(n2.connection, "aborted", "stopped by its operator")
            room.until(lambda: pick.rows() == [])
            assert pick.check([row.key]) == "n2 is not here any more (left: stopped by its operator)"
            n2.come()
            assert pick.check([row.key]) == ""
            return (row.key,)

        assert picked(Hand(use))(room.meeting) == ("n2",)


def test_who_was_picked_and_left_is_waited_for(room_of):
    with room_of(patience=0.3) as room:
        n2 = room.newcomer("n2").come()
        room.meeting.initiator.choose(["n2"])
        n2.joiner.part(n2.connection, "aborted", "stopped by its operator")
        room.until(lambda: room.gone(n2))
        with pytest.raises(errors.DiscoveryError, match="n2: left: stopped by its operator"):
            room.meeting.wait_for_chosen()
        n2.come()
        room.meeting.wait_for_chosen()


def test_all_who_come_are_taken_when_nobody_comes_any_more(room_of):
    with room_of() as room:
        room.newcomer("n2").come()
        assert everyone(0.0)(room.meeting) == ("n2",)


# ---- guesses -------------------------------------------------------------------------------------------


class FarRelay(Relay):
    """A wire that comes from another address."""

    def _reach(self):
        return socket.create_connection(self.target, timeout=5, source_address=("127.0.0.66", 0))


def test_sixty_wrong_codes_from_one_source_while_another_joins_undisturbed(room_of):
    with room_of() as room, FarRelay() as wire:
        initiator = room.meeting.initiator
        # Time goes five times as fast for the book: sixty failures are slowed to ten a second.
        book = initiator.book = GuessBook(
            initiator.book.code,
            renew=room.meeting._renewed,
            on_failure=room.meeting._strangers.guessed,
            clock=lambda: time.monotonic() * 5,
        )
        wire.target = ("127.0.0.1", room.bell.beacon.port)
        attempts, wrong = itertools.count(1), make_code()

        def guess():
            while next(attempts) <= 60:
                with suppress(TrustError, ConnectionLost, errors.ProtocolError, OSError):
                    room.newcomer("n9", "10.0.0.9", port=wire.port).trust(wrong)

        guessers = [threading.Thread(target=guess, daemon=True) for _ in range(6)]
        for one in guessers:
            one.start()
        give_up = time.monotonic() + PATIENCE
        while book.failures < 20:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        begun = time.monotonic()
        n2 = room.newcomer("n2").come()
        took = time.monotonic() - begun
        assert took < 3, f"it took {took:.1f} s"
        for one in guessers:
            one.join(PATIENCE)
            assert not one.is_alive()
        told = [notice for notice in room.operator.notices if "wrong code" in notice]
        assert [line.split(";")[0] for line in told] == [
            "127.0.0.66 gave a wrong code",
            "127.0.0.66 gave 10 wrong codes so far",
        ]
        assert room.row(n2).closed == ""


def test_a_phrase_that_is_guessed_at_too_often_closes_and_the_operator_is_told_what_to_do(room_of):
    with room_of(code=SecretStr("an operators own phrase")) as room:
        room.meeting.initiator.book._booked = 19
        with pytest.raises(TrustError):
            room.newcomer("n2").trust(SecretStr("wrong words these are"))
        room.until(lambda: room.said("nobody new is let in by it. Who is here stays"))


# ---- the session's end ---------------------------------------------------------------------------------


def test_all_are_told_at_once_that_the_session_was_stopped(room_of):
    with room_of() as room:
        both = [room.newcomer(f"n{n}", f"10.0.0.{n}").come() for n in (2, 3)]
        begun = time.monotonic()
        threading.Thread(target=room.meeting.stop, args=("stopped by its operator",), daemon=True).start()
        for one in both:
            said = one.hear(Farewell)
            assert (said.mood, said.reason) == ("aborted", "stopped by its operator")
        assert time.monotonic() - begun < 5
        for one in both:
            one.connection.send(encode(Farewell(mood="aborted")))


def test_when_all_are_in_strangers_are_not_let_in_any_more(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").come()
        room.meeting.close_to_strangers()
        with pytest.raises(ConnectionLost, match="nobody new"):
            room.newcomer("n3", "10.0.0.3").trust()
        n2.dial().introduce()
        room.until(lambda: room.row(n2).closed == "")


# ---- going on ------------------------------------------------------------------------------------------


def test_an_initiator_waits_for_strangers_as_long_as_its_deadlines_are_stretched(room_of):
    with (
        room_of(deadlines=0.02) as room,
        socket.create_connection(("127.0.0.1", room.bell.beacon.port)) as mute,
    ):
        begun = time.monotonic()
        assert mute.recv(1) == b""  # the door closes on it
        assert time.monotonic() - begun < 4, "TLS has 5 s, but for the factor"


def test_who_lost_its_pins_before_it_wrote_them_down_is_let_in_by_the_code(room_of, credentials, monkeypatch):
    """All are pinned, so no code is shown at first; but one does not know us any more, and types a code."""
    monkeypatch.setattr(meeting_module, "CODE_AFTER", 0.1)
    own = credentials("n2")
    roster = Inputs(
        run="0" * 16,
        command="init",
        cloud="c",
        nodes=(node_of("n1", "10.0.0.1", credentials("n1")), node_of("n2", "10.0.0.2", own)),
        services=("vm",),
    )
    pins = {"n2": Pin(own.fingerprint, own.certificate)}
    with room_of(pins, roster) as room:
        room.meeting.hosting.expect(roster)
        assert room.operator.codes == []
        waiting = threading.Thread(
            target=room.meeting.wait, args=(room.lobby.here, "every machine's plan"), daemon=True
        )
        waiting.start()
        room.until(lambda: room.operator.codes)
        room.newcomer("n2").trust(room.operator.codes[0]).dial().introduce()
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
        assert room.meeting.state.pins(roster.run)["n2"].fingerprint == own.fingerprint


def test_a_stranger_with_a_members_name_does_not_take_its_pin(room_of, credentials):
    own = credentials("n2")
    nodes = (node_of("n1", "10.0.0.1", credentials("n1")), node_of("n2", "10.0.0.2", own))
    roster = Inputs(run="0" * 16, command="init", cloud="c", nodes=nodes, services=("vm",))
    with room_of({"n2": Pin(own.fingerprint, own.certificate)}, roster) as room:
        room.meeting.hosting.expect(roster)
        room.newcomer("n2", "10.0.0.9", own="other n2").trust()
        assert room.meeting.state.pins(roster.run) == {}


def test_who_is_not_known_any_more_is_told_what_to_do(room_of):
    with room_of() as room:
        n2 = room.newcomer("n2").trust()
    with room_of(port=n2.peer.port) as anew:
        assert anew.bell.beacon.port == n2.peer.port
        with pytest.raises(TrustError, match="does not know this machine") as caught:
            n2.dial()
        assert "with the code that is shown there now" in caught.value.hint
