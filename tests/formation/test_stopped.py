"""Stopped by Ctrl-C, by the system, or by a terminal that is closed: the other side knows at once."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from mcloud import Manifest, hookimpl
from mcloud.cli.screen import Screen
from mcloud.cli.stopping import WHY, Stopped, stoppable
from mcloud.errors import McloudError
from mcloud.forming import Forming
from mcloud.joining import Joining
from mcloud.model import Node
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session import trust
from mcloud.session.certificates import make_credentials
from mcloud.session.guesses import Tries
from mcloud.session.joiner import Joiner
from mcloud.session.protocol import Farewell
from mcloud.session.transport import dial
from mcloud.state import State
from mcloud.testing import FakeHost, Scripted, memory_folder

PATIENCE = 10.0


class Bell:
    """A discovery plugin that keeps the beacon."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="")

    @hookimpl
    @contextmanager
    def announce(self, beacon):
        self.beacon = beacon
        yield


class Session:
    """An initiator that waits for more machines than there are, and one joiner."""

    def __init__(self, folder):
        self.bell, self.operator, self.folder = Bell(), Scripted(), folder
        self.expected = 2
        self.plugins = Plugins.of(words=trust, bell=self.bell)
        own = {name: make_credentials(name) for name in ("n1", "n2")}
        nodes = {
            name: Node(name=name, addresses=("10.0.0.9",), fingerprint=own[name].fingerprint) for name in own
        }
        self.forming = Forming(
            plugins=self.plugins,
            host=FakeHost(name="n1"),
            state=State(folder / "n1"),
            known=Secrets(),
            credentials=own["n1"],
            node=nodes["n1"],
            order=Order(command="init", cloud="c", services=(), discovery=("bell",), port=0),
            operator=self.operator,
            watch=lambda _happening: None,
            select=self._select,
            listen="127.0.0.1",
        )
        self.joiner = Joiner(self.plugins, own["n2"], nodes["n2"], methods=("words",))
        self.lobby = self.forming._meeting.initiator.lobby

    def _select(self, meeting):
        meeting.wait(lambda: len(self.lobby.here()) == self.expected, "machines")
        return tuple(guest.name for guest in self.lobby.here())

    def form(self):
        with stoppable(Screen(Secrets()), lambda: self.forming.stop(WHY)):
            self.forming.form()

    def trust(self):
        """Come in by the code; return the initiator, and what the joiner does."""
        until(lambda: hasattr(self.bell, "beacon"))  # the code is shown before
        beacon = self.bell.beacon.model_copy(update={"address": "127.0.0.1"})
        with dial("127.0.0.1", beacon.port, patience=2) as connection:
            peer = self.joiner.first_contact(connection, beacon, self.operator.codes[0], Tries())
        return peer, Joining(
            plugins=self.plugins,
            host=FakeHost(name="n2"),
            state=State(self.folder / "n2"),
            known=Secrets(),
            joiner=self.joiner,
            peer=peer,
            watch=lambda _happening: None,
        )

    def join(self):
        """Come in and stay to the end; return the initiator's farewell."""
        peer, work = self.trust()
        return self.joiner.converse(self.joiner.come_back(peer, patience=2), work)

    def stop_joining(self):
        """Have the joiner say that it was stopped, as at Ctrl-C."""
        farewell = Farewell(mood="aborted", reason="stopped by its operator")
        until(lambda: self.joiner.report(farewell))
        until(lambda: not self.lobby.here())


def until(condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def session():
    with memory_folder() as folder:
        yield Session(folder)


def beside(work):
    """Do something in a thread; return the thread and the list that what it returns or raises is put in."""
    ended = []

    def run():
        try:
            ended.append(work())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, ended


def signal_when(condition, number):
    """Send this process a signal once something holds, as a terminal or the system does."""

    def work():
        until(condition)
        os.kill(os.getpid(), number)
        return time.monotonic()

    return beside(work)


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_an_initiator_that_is_stopped_tells_its_joiners(session, number):
    joined, said = beside(session.join)
    _sender, sent = signal_when(session.lobby.here, number)
    with pytest.raises(Stopped) as stopped:
        session.form()
    joined.join(PATIENCE)
    assert time.monotonic() - sent[0] < 5
    assert stopped.value.exit_code == 128 + number
    assert (said[0].mood, said[0].reason) == ("aborted", "stopped by its operator")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_joiner_that_is_stopped_tells_its_initiator(session, number):
    led, said = beside(session.forming.form)
    signal_when(session.lobby.here, number)
    with pytest.raises(Stopped) as stopped, stoppable(Screen(Secrets())):
        session.join()
    assert stopped.value.exit_code == 128 + number
    (guest,) = session.lobby.all()
    until(lambda: (guest.standing, guest.reason) == ("parted", "stopped by its operator"))
    until(lambda: "n2 (127.0.0.1) left: stopped by its operator" in session.operator.notices)
    session.forming.stop("the test is over")
    led.join(PATIENCE)
    assert "the session is over: the test is over" in str(said[0])


# ---- in the middle, before anything is changed ---------------------------------------------------------


def test_who_leaves_while_questions_are_asked_and_returns_takes_part(session):
    session.expected = 1

    def complete(order, gather):
        assert [node.name for node in gather(order).nodes] == ["n1", "n2"]
        (guest,) = session.lobby.here()
        guest.connection.send(b"nonsense")  # its conversation ends, and so does its command
        until(lambda: not session.lobby.here())
        beside(session.join)
        return order

    session.forming.complete = complete
    beside(session.join)
    cloud = session.forming.form()
    assert [member["name"] for member in cloud["members"]] == ["n1", "n2"]
    assert any("waiting for machines that were picked: n2: left" in n for n in session.operator.notices)


def test_who_leaves_while_the_plan_is_read_is_missed_before_anything_is_changed(session):
    session.expected = 1

    def confirm(_destroys):
        session.stop_joining()
        return True

    session.operator.confirm = confirm
    joined, said = beside(session.join)
    with pytest.raises(McloudError, match="n2 left: stopped by its operator"):
        session.forming.form()
    joined.join(PATIENCE)
    assert session.forming.state.latest() is None
    assert said
