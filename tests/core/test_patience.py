"""Silence on the screen: after some seconds it says who is waited for, ever more rarely."""

import json
import subprocess
import sys
import time

import pytest

from mcloud.cli.patience import Patience
from mcloud.cli.screen import Screen
from mcloud.secrets import Secrets
from mcloud.waits import Wait, in_hand, waited_for
from mcloud.watch import Happening


class Silence:
    """A screen on which nothing is said, and a clock."""

    def __init__(self):
        self.now, self.spoke, self.said = 1000.0, 1000.0, []
        self.waits = [Wait("n3: ceph osd-sdb", 35.0, other=False)]
        self.patience = Patience(lambda: self.waits, lambda: self.spoke, self._say, clock=lambda: self.now)

    def _say(self, text, _waits):
        self.said.append((self.now - 1000, text))
        self.spoke = self.now

    def lasts(self, seconds):
        for _ in range(int(seconds)):
            self.now += 1
            self.patience.look()
        return self.said


@pytest.fixture
def silence():
    return Silence()


def test_after_some_seconds_of_silence_it_says_who_is_waited_for(silence):
    assert silence.lasts(9) == []
    assert silence.lasts(1) == [(10, "still waiting for n3: ceph osd-sdb (35 s)")]


def test_it_says_so_ever_more_rarely(silence):
    times = [when for when, _text in silence.lasts(3600)]
    assert times[:6] == [10, 30, 70, 150, 310, 610]
    assert len(times) == 15


def test_whatever_else_is_said_begins_the_silence_anew(silence):
    silence.lasts(31)
    silence.spoke = silence.now
    silence.lasts(9)
    assert [when for when, _text in silence.said] == [10, 30]
    assert [when for when, _text in silence.lasts(1)] == [10, 30, 41]


def test_while_nobody_is_waited_for_it_is_silent_and_impatient_again_afterwards(silence):
    waits, silence.waits = silence.waits, []
    assert silence.lasts(3600) == []
    silence.waits = waits
    assert len(silence.lasts(10)) == 1


def test_many_are_named_in_part_and_counted(silence):
    silence.waits = [Wait(f"n{n}: lxd member", n, other=False) for n in range(1, 9)]
    ((_when, text),) = silence.lasts(10)
    assert text == (
        "still waiting for n1: lxd member (1 s); n2: lxd member (2 s); n3: lxd member (3 s); 5 more"
    )


# ---- whom the screen names -----------------------------------------------------------------------------


def _happening(what, step="osd-sdb", *, machine="n3", plugin="ceph", about="", hook="join"):
    return Happening(machine=machine, plugin=plugin, hook=hook, about=about or machine, step=step, what=what)


@pytest.fixture
def screen():
    return Screen(Secrets())


def _whom(screen):
    return [wait.who for wait in screen._whom()]


def test_steps_of_all_machines_are_named_and_no_call_twice(screen):
    screen.happened(_happening("started"))
    screen.happened(_happening("started", "pool", machine="n1"))
    with (
        waited_for("n1: ceph pool (run in configure)", other=False),
        waited_for("n1: lxd in inspect", other=False),
        waited_for("n2"),
    ):
        assert _whom(screen) == ["n3: ceph osd-sdb", "n1: ceph pool", "n1: lxd in inspect"]
    screen.happened(_happening("done"))
    assert _whom(screen) == ["n1: ceph pool"]


def test_where_nothing_runs_the_machine_is_named_that_has_its_part_to_do(screen):
    screen.happened(_happening("waiting", "joined", machine="n1", plugin="core", about="n3", hook="admit"))
    assert _whom(screen) == ["n3"]
    screen.happened(_happening("started"))
    assert _whom(screen) == ["n3: ceph osd-sdb"]
    screen.happened(_happening("done"))
    screen.happened(_happening("done", "joined", machine="n1", plugin="core", about="n3", hook="admit"))
    assert _whom(screen) == []


def test_nobody_waits_for_a_machine_that_is_out(screen):
    screen.happened(_happening("started"))
    screen.happened(_happening("waiting", "joined", machine="n1", plugin="core", about="n3", hook="admit"))
    screen.machine("n3", "failed")
    assert _whom(screen) == []


def test_while_a_person_is_asked_nobody_is_named(screen):
    screen.happened(_happening("started"))
    screen.output.pose("Carry out this plan? ")
    assert _whom(screen) == []


def test_who_another_waits_for_may_change_meanwhile():
    names = ["n2"]
    with waited_for(lambda: " and ".join(names)):
        names.append("n3")
        assert [wait.who for wait in in_hand()] == ["n2 and n3"]
    assert in_hand() == []


@pytest.mark.parametrize("as_json", [False, True])
def test_it_comes_out_as_a_line_or_an_object(capsys, monkeypatch, as_json):
    monkeypatch.setattr("mcloud.cli.patience.FIRST", 0.05)
    monkeypatch.setattr("mcloud.cli.patience.TICK", 0.05)
    monkeypatch.setattr(Patience, "_pause", 0.05)
    screen = Screen(Secrets(), json_lines=as_json)
    screen.happened(_happening("started"))
    printed = screen.output.spoke
    out = capsys.readouterr().out
    with screen.patient():
        until = time.monotonic() + 10
        while screen.output.spoke == printed and time.monotonic() < until:
            time.sleep(0.01)
    out = capsys.readouterr().out.splitlines()[0]
    if as_json:
        said = json.loads(out)
        assert said["type"] == "waiting"
        assert said["for"][0]["who"] == "n3: ceph osd-sdb"
    else:
        assert out.startswith("still waiting for n3: ceph osd-sdb (")


# ---- the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["threading.Thread(target=event.wait).start()", "pool.submit(event.wait)"])
def test_a_thread_that_a_plugin_left_behind_does_not_keep_the_program(left):
    code = f"""
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from mcloud.cli import leaving
leaving.LEAVE_WITHIN = 0.2
event, pool = threading.Event(), ThreadPoolExecutor()
{left}
print("all is said")
leaving.leave(6)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False
    )
    assert (ended.returncode, ended.stdout) == (6, "all is said\n")
