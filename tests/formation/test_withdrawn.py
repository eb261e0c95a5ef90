"""Taken back where it is led, while joiners wait for it: they take their parts back first, the last first."""

import itertools
import socket
import threading
from contextlib import contextmanager

import pytest
from breaking import Broken, Fault
from trying import EVERYTHING, try_all, undisturbed

from mcloud.errors import ProtocolError
from mcloud.joining import Joining
from mcloud.session.protocol import Progress
from mcloud.testing.host import PowerLost
from mcloud.testing.power import dying_quietly
from mcloud.undo import refuse_complete
from mcloud.watch import Happening
from mcloud.withdrawing import Part, waiting

COME_WITHIN = 6.0
OTHERS = ("n3", "n2")
ENTERED = 14
"""A line of the initiator's journal at which joiners are in the middle of their work."""
UNDO_LINES = 9


def _listens(machine):
    """Whether the process that lost its power still has its port: a real one is dead at once."""
    if machine.state.latest() is None:
        return False
    try:
        socket.create_server(("127.0.0.1", machine.journal().header["port"])).close()
    except OSError:
        return True
    return False


class Left:
    """A cloud whose initiator has lost its power in the middle, and whose joiners wait for it."""

    def __init__(self, line=ENTERED, **more):
        self.went = []
        self.broken = Broken(
            3,
            [Fault(machine="n1", at="line", number=line)],
            patience=20.0,
            on_happening=self._happened,
            **more,
        )
        self.outcome, self.typed = None, threading.Thread(target=self._form)

    def _happened(self, machine, what):
        if what.what == "undone":
            self.went.append((machine, self.broken.world.founder))

    def _form(self):
        self.broken._aim()
        self.outcome = self.broken.cloud.form(seconds=28, again=False)

    def ended(self):
        """Return what the commands ended with."""
        self.typed.join()
        return self.outcome.failures

    @contextmanager
    def waiting(self):
        """While open the joiners wait; afterwards their commands have ended."""
        with self.broken as broken:
            cloud = broken.cloud
            self.typed.start()
            try:
                while cloud.is_on("n1") or not cloud["n1"].state.runs() or _listens(cloud["n1"]):
                    assert self.typed.is_alive(), cloud.story()
                    self.typed.join(0.01)
                yield broken
            finally:
                self.typed.join()

    def undo(self):
        """Type `undo` on the initiator, again where that loses its power; return what it had to leave."""
        while self.broken._begun("n1"):
            self.broken._aim()
            with dying_quietly():
                try:
                    return self.broken.cloud.undo("n1", patience=COME_WITHIN).left
                except PowerLost:
                    self.broken.killed.append("n1")
        return {}


def test_all_that_wait_take_their_part_back_the_founder_last():
    left = Left()
    with left.waiting() as broken:
        assert left.undo() == {}
        assert broken.cloud.parts == [Part("n3", "undone"), Part("n2", "undone")]
        broken.check_nothing()
        machines = [machine for machine, _founder in left.went]
        assert machines == sorted(machines, reverse=True)
        assert {*machines} == {"n2", "n3"}
        assert {founder for _machine, founder in left.went} == {"n1"}


def test_the_joiners_commands_end_and_say_why():
    left = Left()
    with left.waiting():
        left.undo()
        for name in OTHERS:
            assert "the run was taken back on n1, and what it did here, too" in str(left.ended()[name])


def test_afterwards_all_form_a_cloud_anew():
    left = Left()
    with left.waiting() as broken:
        left.undo()
        left.ended()
        broken.form_anew()


def test_who_does_not_come_is_named_and_takes_its_part_back_itself():
    left = Left()
    with left.waiting() as broken:
        broken.cloud.kill("n3")
        assert left.undo() == {}
        assert broken.cloud.parts == [Part("n3", "silent", "it did not come"), Part("n2", "undone")]
        broken.undo(["n3"])
        broken.check_nothing()


def test_what_a_joiner_cannot_take_back_is_told_on_the_initiator():
    left = Left()
    with left.waiting() as broken:
        real, broken.world.leave = broken.world.leave, lambda machine: 1 / (machine != "n3")
        assert left.undo() == {}
        first, second = broken.cloud.parts
        assert (first.machine, first.outcome, first.reason) == (
            "n3", "left", "1 steps could not be taken back",
        )  # fmt: skip
        assert second == Part("n2", "undone")
        broken.world.leave = real
        assert "ZeroDivisionError" in str(left.ended()["n3"].lines())
        broken.undo(["n3"])
        broken.check_nothing()


@pytest.fixture
def over(monkeypatch):
    """Return what is set when the test is over: nobody hangs any longer. Patience is short meanwhile."""
    monkeypatch.setattr("mcloud.withdrawing.GETS_ON", 1.0, raising=False)
    event = threading.Event()
    yield event
    event.set()


def _on(monkeypatch, machine, method, instead):
    """Have one machine's joiner do something else in a method."""
    real = getattr(Joining, method)

    def called(self, *given):
        return instead(self, *given) if self.name == machine else real(self, *given)

    monkeypatch.setattr(Joining, method, called)


def _undone(left, seconds=20):
    """Type `undo` on the initiator; AssertionError if it does not end."""
    typed = threading.Thread(target=left.undo, daemon=True)
    typed.start()
    typed.join(seconds)
    assert not typed.is_alive(), "undo waits on"


def _chatter(said, over):
    """Return what a joiner does that only says how far it is, and never that it is done."""

    def chatter(joining):
        while not over.is_set():
            happening = Happening(
                machine="n3", plugin="svc", hook="join", about="n3", step="conf", what="undone", text=said()
            )
            if not joining.joiner.report(Progress(happening=happening)):
                over.wait(0.01)

    return chatter


def test_a_joiner_that_floods_the_undo_with_progress_holds_nobody(monkeypatch, over):
    shown = []
    monkeypatch.setattr("mcloud.testing.life.nobody", shown.append)
    _on(monkeypatch, "n3", "take_back", _chatter(lambda: "", over))
    left = Left()
    with left.waiting() as broken:
        try:
            _undone(left)
        finally:
            over.set()
        first, second = broken.cloud.parts
        assert (first.machine, first.outcome != "undone") == ("n3", True)
        assert (second.machine, second.outcome) == ("n2", "undone")
        assert len([one for one in shown if one.machine == "n3"]) <= 30
        assert "n3 says more than can be shown" in broken.cloud.story()


def test_a_joiner_whose_undo_gets_nowhere_is_named_and_left(monkeypatch, over):
    _on(monkeypatch, "n3", "take_back", lambda _joining: over.wait(25))
    left = Left()
    with left.waiting() as broken:
        try:
            _undone(left)
        finally:
            over.set()
        first, second = broken.cloud.parts
        assert (first.machine, first.outcome) == ("n3", "left")
        assert first.reason == "1 s without progress, and it has not said that it is done"
        assert (second.machine, second.outcome) == ("n2", "undone")


def test_that_nobody_can_be_told_does_not_stop_the_initiator():
    left = Left()
    with left.waiting() as broken:
        with socket.create_server(("127.0.0.1", broken.cloud["n1"].journal().header["port"])):
            assert left.undo() == {}
        assert [part.outcome for part in broken.cloud.parts] == ["silent", "silent"]
        assert "the joiners cannot be told: cannot listen" in broken.cloud.story()
        for name in OTHERS:
            broken.cloud.kill(name)
        broken.undo(OTHERS)
        broken.check_nothing()


def test_of_a_cloud_that_is_formed_nothing_is_taken_back_by_another_machines_word():
    with Broken(3, patience=4.0) as broken:
        broken.cloud.form().good()
        assert waiting(broken.cloud["n1"].journal()) == ()
        with pytest.raises(ProtocolError, match="n2 is in the cloud already"):
            refuse_complete(broken.cloud["n2"].journal())
        broken.cloud.undo("n1", patience=COME_WITHIN)
        assert broken.cloud.parts == ()


@pytest.mark.timeout(900 if EVERYTHING else 90)
def test_at_every_line_of_the_initiators_journal():
    numbers = range(2, undisturbed(3)["n1", "line"] + 1)
    told = []

    def attempt(number):
        left = Left(number)
        with left.waiting() as broken:
            assert left.undo() == {}
            told.extend(part.outcome for part in broken.cloud.parts)
            silent = [part.machine for part in broken.cloud.parts if part.outcome != "undone"]
            for name in silent or (OTHERS if not broken.cloud.parts else ()):
                broken.cloud.kill(name)
                broken.undo([name])
            broken.check_nothing()

    tried = try_all(numbers if EVERYTHING else list(numbers)[::4], attempt)
    print(f"\nwithdrawn at {tried} lines: {told.count('undone')} parts on being told, {len(told)} in all")
    assert told.count("undone") > tried


@pytest.mark.timeout(900 if EVERYTHING else 90)
def test_a_withdrawal_that_is_killed_is_typed_again():
    cases = [*itertools.product(range(1, UNDO_LINES + 1), ("before", "torn", "after"))]
    killed = []

    def attempt(case):
        number, how = case
        left = Left()
        with left.waiting() as broken:
            broken.faults.append(Fault(machine="n1", at="line", number=number, how=how))
            assert left.undo() == {}
            killed.extend(broken.killed)
            silent = [part.machine for part in broken.cloud.parts if part.outcome != "undone"]
            for name in silent:
                broken.cloud.kill(name)
                broken.undo([name])
            broken.check_nothing()

    tried = try_all(cases if EVERYTHING else cases[::5], attempt)
    print(f"\nwithdrawal killed and typed again: {tried} tried, {len(killed)} were killed")
    assert killed
