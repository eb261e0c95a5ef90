"""A joiner and real initiators over real TLS: found, picked, restarted, lied about, killed."""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from pydantic import SecretStr

from mcloud import API, DiscoveryError, Manifest, McloudError, ProtocolError, hookimpl
from mcloud.attending import Attending
from mcloud.choosing import Choosing
from mcloud.hosting import Hosting
from mcloud.joining import Joining
from mcloud.looking import Looking
from mcloud.meeting import Meeting
from mcloud.model import Beacon, Node, Search
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session import trust
from mcloud.session.certificates import make_credentials, short
from mcloud.session.door import Door
from mcloud.session.joiner import Joiner
from mcloud.session.protocol import VERSION
from mcloud.session.transport import ConnectionLost
from mcloud.state import State
from mcloud.testing import FakeHost, Scripted, memory_folder

WRONG = "acid acorn acre acts"
PATIENCE = 20.0


class Air:
    """A discovery plugin on whose network everybody hears everybody."""

    def __init__(self):
        self.beacons = []

    @hookimpl
    def manifest(self):
        return Manifest(api=API, summary="Everybody hears everybody")

    @hookimpl
    @contextmanager
    def announce(self, beacon):
        self.say(beacon.model_copy(update={"address": "127.0.0.1"}))
        yield

    @hookimpl
    def discover(self, search):
        until = time.monotonic() + search.seconds
        heard = 0
        while time.monotonic() < until:
            for one in self.beacons[heard:]:
                heard += 1
                yield one
            time.sleep(0.01)
        if not self.beacons:
            raise DiscoveryError("nothing in the air")

    def say(self, *given, **beacon):
        self.beacons.extend(Beacon.model_validate(one.model_dump()) for one in given)
        if beacon:
            self.beacons.append(Beacon.model_validate({"version": VERSION, **beacon}))


@pytest.fixture(scope="module")
def credentials():
    """Return a maker of certificates; each name's are made once."""
    made = {}
    return lambda name: made.setdefault(name, make_credentials(name))


@pytest.fixture
def air():
    return Air()


@pytest.fixture
def lead(air, credentials):
    """Return a context in which a machine is an initiator on loopback: its session and its screen."""

    @contextmanager
    def leading(name="n1", *, port=0):
        plugins, known, operator = Plugins.of(words=trust, air=air), Secrets(), Scripted()
        own = credentials(name)
        with memory_folder() as folder:
            meeting = Meeting(
                plugins=plugins,
                state=State(folder),
                known=known,
                credentials=own,
                node=Node(name=name, addresses=("10.0.0.1",), fingerprint=own.fingerprint, founder=True),
                order=Order(
                    command="init",
                    cloud="c",
                    discovery=("air",),
                    services=(),
                    patience=PATIENCE,
                    port=port,
                ),
                operator=operator,
                hosting=Hosting(plugins, State(folder), known, lambda _happening: None, operator.notice),
                listen="127.0.0.1",
            )
            with meeting.session({}, None):
                yield meeting, operator

    return leading


class Person(Scripted):
    """A person who types codes one after another, and sees why."""

    def __init__(self, *codes, pick=None, **more):
        super().__init__(**more)
        self.to_type, self.whys, self.picking = list(codes), [], pick
        self.troubles = []

    def code(self, why):
        self.whys.append(why)
        typed = self.to_type.pop(0)
        return SecretStr(typed() if callable(typed) else typed)

    def pick(self, pick):
        rows = pick.rows()
        self.troubles.append([row.cells[4] for row in rows])
        wanted = self.picking.pop(0)
        return (next(row.key for row in rows if row.cells[0] == wanted),)


@pytest.fixture
def attending(air, credentials):
    """Return a maker of joiners."""

    def make(person, *, patience=PATIENCE, initiators=(), wanted="", settling=0.2):
        own = credentials("n2")
        plugins = Plugins.of(words=trust, air=air)
        node = Node(name="n2", addresses=("10.0.0.2",), fingerprint=own.fingerprint)
        search = Search(seconds=patience, initiators=initiators)
        return Attending(
            joiner=Joiner(plugins, own, node, methods=("words",)),
            notice=person.notice,
            look=lambda: Looking(plugins, ("air",), search),
            choose=Choosing(
                notice=person.notice,
                prompter=person,
                can_ask=person.picking is not None,
                wanted=wanted,
                settling=settling,
            ),
            ask_code=person.code,
            patience=patience,
        )

    return make


@pytest.fixture
def silent(credentials):
    """Return a context with a door that is not the initiator's: its port, and whatever was said to it."""

    @contextmanager
    def listening(name="liar", answer=None, at=("127.0.0.1", 0)):
        heard = []

        def receive(connection):
            heard.append(connection.receive(timeout=5))
            if answer:
                connection.send(answer)

        with Door(
            credentials(name), pins=dict, on_stranger=receive, on_member=lambda *_: None,
            address=at[0], port=at[1],
        ) as door:  # fmt: skip
            yield door.port, heard

    return listening


def code_of(meeting):
    return meeting.initiator.book.code.get_secret_value()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


# ---- from the beacon to trust ----------------------------------------------------------------------------


def test_what_both_screens_show_is_what_gets_pinned(lead, attending, credentials):
    with lead() as (meeting, operator):
        person = Person(code_of(meeting))
        peer = attending(person).meet()
        own, theirs = credentials("n1").fingerprint, credentials("n2").fingerprint
        assert peer.fingerprint == own
        assert set(meeting.initiator.lobby.pins()) == {theirs}
        assert any(f"(fingerprint {short(theirs)})" in said for said in operator.notices)
        assert f"this machine's fingerprint is {short(own)}" in operator.notices
    assert f"this machine's fingerprint is {short(theirs)}" in person.notices
    first, last = person.notices[0], person.notices[-1]
    assert first.startswith("initiator: n1 (127.0.0.1, port ")
    assert first.endswith(f", fingerprint {short(own)[:19]} ...")
    assert last.endswith(f"(fingerprint {short(own)})")


def test_the_code_is_asked_after_the_initiator_is_shown_and_before_anything_is_said_to_it(lead, attending):
    with lead() as (meeting, operator):
        person = Person()

        def type_it():
            assert person.notices[-1].startswith("initiator: n1 ")
            assert not any("127.0.0.1" in said for said in operator.notices)
            return code_of(meeting)

        person.to_type = [type_it]
        attending(person).meet()


def test_a_wrong_code_is_asked_again_with_the_reason_and_three_times_at_most_for_one_code(lead, attending):
    with lead() as (meeting, _operator):
        person = Person(WRONG, WRONG, WRONG, WRONG, code_of(meeting))
        attending(person).meet()
        assert meeting.initiator.book.failures == 3
    assert person.whys[0] == ""
    assert all("the code is wrong" in why for why in person.whys[1:4])
    assert "failed too often" in person.whys[4]


# ---- lies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["another address", "another port"])
def test_who_announces_himself_as_the_initiator_is_told_nothing(lead, attending, air, silent, place):
    port = free_port()
    mine = ("127.0.0.2", port) if place == "another address" else ("127.0.0.1", 0)
    with silent("liar", at=mine) as (his_port, heard), lead(port=port) as (meeting, _operator):
        # The same session and fingerprint, another place; it is heard first, and tried first.
        lie = air.beacons[-1].model_copy(update={"address": mine[0], "port": his_port})
        air.beacons[:] = [Beacon.model_validate(lie.model_dump()), air.beacons[-1]]
        person = Person(code_of(meeting), pick=["n1"])
        peer = attending(person).meet()
        assert (peer.address, peer.port) == ("127.0.0.1", port)
        assert heard == []
    assert any("another certificate than was announced" in said for said in person.notices)
    assert person.whys == [""]


def test_a_lying_beacon_alone_is_refused_and_said_at_the_end(attending, air, silent):
    with silent() as (port, heard):
        air.say(name="n1", address="127.0.0.1", port=port, session="aa", fingerprint="0" * 16)
        with pytest.raises(DiscoveryError, match="another certificate than was announced"):
            attending(Person(WRONG), patience=2.0).meet()
        assert heard == []


@pytest.mark.parametrize("answer", [None, b"junk"])
def test_who_hangs_up_or_talks_nonsense_is_left_alone_and_the_search_goes_on(
    lead, attending, air, silent, credentials, answer, monkeypatch
):
    monkeypatch.setattr("mcloud.attending.PAUSE", 0.01)
    with silent("liar", answer) as (port, heard), ExitStack() as later:
        own = credentials("liar").fingerprint
        air.say(name="n0", address="127.0.0.1", port=port, session="00", fingerprint=own[:16])
        led = []
        person = Person()

        def come():
            led.append(later.enter_context(lead()))
            return WRONG

        person.to_type = [come, lambda: code_of(led[0][0])]
        peer = attending(person).meet()
        assert peer.name == "n1"
        assert len(heard) == (1 if answer else 5)
    assert any("n0 is left alone" in said for said in person.notices)


def test_an_address_that_was_given_and_talks_nonsense_is_an_error(attending, air, silent):
    with silent("n1", b"junk") as (port, _heard):
        air.say(name="first", address="127.0.0.1", port=port, version=0)
        with pytest.raises(ProtocolError):
            attending(Person(WRONG), initiators=(("first", port),)).meet()


# ---- they come and go ------------------------------------------------------------------------------------


def test_an_initiator_that_was_started_anew_is_found_again_and_its_new_code_is_asked(lead, attending):
    port = free_port()
    with ExitStack() as second:
        led = []
        with lead(port=port) as (before, _operator):
            old = code_of(before)

        def come_back():
            timer = threading.Timer(0.5, lambda: led.append(second.enter_context(lead(port=port))))
            timer.start()
            return old

        person = Person(come_back, lambda: code_of(led[0][0]))
        peer = attending(person).meet()
        assert peer.port == port
    assert person.whys == ["", ""]
    assert any("nobody listens there" in said for said in person.notices)
    assert sum(said.startswith("initiator: n1") for said in person.notices) == 2


def test_one_of_two_that_goes_away_while_the_person_picks_is_shown_with_the_reason(
    lead, attending, monkeypatch
):
    monkeypatch.setattr("mcloud.reaching.INSIST", 0.5)
    with lead("n3") as (stays, _operator), ExitStack() as goes:
        going, _ = goes.enter_context(lead("n1"))
        old = code_of(going)
        goes.close()
        person = Person(old, code_of(stays), pick=["n1", "n3"])
        peer = attending(person).meet()
    assert peer.name == "n3"
    assert person.troubles == [["", ""], ["", "nobody listens there"]]
    assert person.whys == ["", ""], "another initiator has another code"


def test_a_joiner_waits_for_an_answer_as_long_as_its_deadlines_are_stretched(attending, air):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        air.say(
            name="n1", address="127.0.0.1", port=deaf.getsockname()[1], session="aa", fingerprint="0" * 16
        )
        person = Person(WRONG)
        quick = attending(person, patience=1.0)
        quick.joiner.deadlines = 0.02
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="no answer"):
            quick.meet()
        assert time.monotonic() - began < 4, "TLS has 5 s, but for the factor"


def test_nobody_there_is_said_after_the_patience(attending, air):
    air.say(name="n1", address="127.0.0.1", port=free_port(), session="aa", fingerprint="0" * 16)
    with pytest.raises(ConnectionLost, match="no connection to n1"):
        attending(Person(WRONG), patience=1.0).meet()


# ---- killed ----------------------------------------------------------------------------------------------


class Wire:
    """Passes bytes on between a joiner and an initiator until it is cut: no end is told."""

    def __init__(self, port):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.target, self.whole, self.open = port, threading.Event(), []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.whole.set()
        self.listening.close()

    def close(self):
        self.cut()
        for end in self.open:
            end.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while data := one.recv(65536):
                if self.whole.is_set():
                    return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def staying(attending, air):
    """Return a function that lets a joiner stay with an initiator, and gives how it ends."""

    def stay(person, patience):
        joiner = attending(person)
        peer = joiner.meet()
        work = Joining(
            plugins=Plugins.of(words=trust, air=air),
            host=FakeHost(),
            state=State(),
            known=Secrets(),
            joiner=joiner.joiner,
            peer=peer,
            watch=lambda _happening: None,
        )
        ended = []

        def until_the_end():
            try:
                ended.append(joiner.stay(peer, work, patience=patience))
            except McloudError as error:
                ended.append(error)

        thread = threading.Thread(target=until_the_end, daemon=True)
        thread.start()
        return ended, thread

    return stay


def _until(holds, seconds=10.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_cut_wire_is_known_within_five_seconds_and_the_initiator_is_waited_for(lead, staying, air):
    with lead() as (meeting, operator):
        wire = Wire(air.beacons[-1].port)
        air.beacons[:] = [air.beacons[-1].model_copy(update={"port": wire.port})]
        person = Person(code_of(meeting))
        ended, thread = staying(person, 1.0)
        _until(lambda: any("is here" in said for said in operator.notices))
        began = time.monotonic()
        wire.cut()
        _until(lambda: any("n1 is away" in said for said in person.notices))
        assert time.monotonic() - began < 5
        thread.join(10)
        wire.close()
    (said,) = [said for said in person.notices if "n1 is away" in said]
    assert "no sign of life for 4 s" in said
    assert said.endswith("waiting for it, for 1 s at most")
    assert isinstance(ended[0], ConnectionLost)


@pytest.mark.parametrize("reason", ["stopped by its operator", "waited 600 s for machines"])
def test_an_initiator_that_gives_up_says_why_at_once(lead, staying, reason):
    with lead() as (meeting, operator):
        person = Person(code_of(meeting))
        ended, thread = staying(person, 5.0)
        _until(lambda: any("is here" in said for said in operator.notices))
        began = time.monotonic()
        meeting.stop(reason)
        thread.join(10)
        assert time.monotonic() - began < 5
    assert f"n1 gave up: {reason}" in str(ended[0])
    assert "nothing was changed here" in ended[0].hint
