"""Runs as they are told: from real journals, whole, torn and damaged."""

import json
import os
import subprocess
import sys

import pytest

from mcloud import McloudError
from mcloud.history import find, runs
from mcloud.journal import Journal
from mcloud.model import Role
from mcloud.secrets import Secrets
from mcloud.state import State

KEY = "join/ceph/n2/n2/osd-sdb"


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def begin(state):
    """Return a function that begins a run with a journal of two machines."""

    def make(**more):
        entry = state.begin_run(command="join", role=Role.JOINER, **more)
        header = {"run": entry.id, "cloud": "home", "nodes": [{"name": "n1"}, {"name": "n2"}]}
        return entry.id, Journal.create(state.journal_path(entry.id), header, Secrets())

    return make


def test_a_machine_without_runs_has_no_runs(state):
    assert runs(state) == ()
    with pytest.raises(McloudError, match="no run on this machine yet"):
        find(state, "")


def test_a_run_is_told_step_by_step(state, begin):
    name, journal = begin()
    journal.write("started", KEY)
    journal.write("kept", KEY, name="uuid", value="x")
    journal.write("failed", KEY, error="the disk burns", seconds=1.5)
    run = find(state, name[:4])
    assert (run.outcome, run.done, run.failed) == ("not finished", 0, (KEY,))
    assert (run.cloud, run.machines) == ("home", ("n1", "n2"))
    told = [(one.event, one.plugin, one.step, one.text) for one in run.story()]
    assert told == [
        ("plan", "", "", "n1, n2"),
        ("started", "ceph", "osd-sdb", ""),
        ("failed", "ceph", "osd-sdb", "the disk burns"),
    ]


def test_the_last_word_on_a_step_counts(state, begin):
    name, journal = begin()
    for event in ("started", "failed", "started", "done"):
        journal.write(event, KEY)
    assert (find(state, name).done, find(state, name).failed) == (1, ())


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ((), "not finished"),
        (("finished",), "finished"),
        (("finished", "undoing"), "being undone"),
        (("undoing", "reverted"), "undone"),
    ],
)
def test_how_a_run_ended(state, begin, events, outcome):
    name, journal = begin()
    for event in events:
        journal.write(event)
    assert find(state, name).outcome == outcome


def test_a_smaller_roster_is_the_roster(state, begin):
    name, journal = begin()
    journal.write("cut", nodes=[{"name": "n1"}], cloud="home")
    assert find(state, name).machines == ("n1",)
    assert [one.event for one in find(state, name).story()] == ["plan", "cut"]


def test_reading_changes_nothing_even_where_a_line_is_being_written(state, begin):
    name, journal = begin()
    with journal.path.open("a") as file:
        file.write('{"at": "2026-')
    before = journal.path.read_bytes()
    assert len(find(state, name).lines) == 1
    assert journal.path.read_bytes() == before


def test_a_run_without_a_journal_is_there(state):
    entry = state.begin_run(command="init", role=Role.INITIATOR)
    assert find(state, entry.id).outcome == "nothing written"


def test_a_damaged_journal_is_named(state, begin):
    name, journal = begin()
    journal.path.write_text("no json\n")
    with pytest.raises(McloudError, match=str(journal.path)):
        find(state, name)
    journal.path.write_text('{"event": "plan"}\n')
    with pytest.raises(McloudError, match="line 1 is no line of a journal"):
        find(state, name)


def test_a_damaged_journal_does_not_hide_the_others(state, begin):
    _name, damaged = begin()
    begin()
    damaged.path.write_text("no json\n")
    assert [run.outcome for run in runs(state)] == ["damaged", "not finished"]


def test_an_unclear_name_lists_all(state):
    one, other = (state.begin_run(command="init", role=Role.INITIATOR, run=run) for run in ("aa1", "aa2"))
    with pytest.raises(McloudError, match="several") as unclear:
        find(state, "aa")
    assert one.id in unclear.value.hint
    assert other.id in unclear.value.hint
    with pytest.raises(McloudError, match="no run here begins"):
        find(state, "zz")


def test_the_command_shows_them(state, begin):
    name, journal = begin()
    journal.write("done", KEY, seconds=2.5)
    journal.write("finished")
    listed, shown, told = (
        _typed(state, *words) for words in (["runs"], ["runs", "show"], ["runs", "show", name, "--json"])
    )
    assert name in listed
    assert "finished, 1 steps done" in listed
    assert "ceph   osd-sdb for n2  done (2.5 s)" in shown
    events = [json.loads(line) for line in told.splitlines()]
    assert [event.get("event") for event in events] == [None, "plan", "done", "finished"]
    assert events[2]["seconds"] == 2.5


def _typed(state, *words):
    return subprocess.run(
        [sys.executable, "-I", "-m", "mcloud", *words],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "MCLOUD_STATE": str(state.folder)},
    ).stdout
