"""Killed, really, at each line of the journal: the same run again ends the same, and undo begins the same."""

import multiprocessing
import os
from pathlib import Path

import pytest

from mcloud import JoinToken, Step
from mcloud.context import Surroundings
from mcloud.journal import Journal
from mcloud.localhost import LocalHost
from mcloud.plan import Lane, Plan
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.testing import memory_folder
from mcloud.undo import undo

LINES = 10
"""Lines of an undisturbed run; a test looks whether that is so."""
KILLED = 9
BEFORE = "somebody's own words"


class Dying(Journal):
    """A journal that ends the process at one of its lines: before it, in the middle of it, or after it."""

    fatal, moment, written = 0, "before", 0

    def write(self, event, key="", **data):
        self.written += 1
        if self.written != self.fatal:
            super().write(event, key, **data)
            return
        if self.moment == "after":
            super().write(event, key, **data)
        elif self.moment == "torn":
            self._lock.acquire()  # a process that is gone writes no other line behind it
            with self.path.open("ab") as file:
                file.write(b'{"event":"do')
        os._exit(KILLED)


def _write(path):
    def run(ctx):
        ctx.keep("before", ctx.host.read(path))
        if path == "/kept":
            ctx.host.write(path, "ours")
        else:
            # Not to be done twice: a second time would be seen.
            ctx.host.write(path, f"{ctx.host.read(path) or ''}ours")

    def undo_it(ctx):
        if ctx.has_kept("before"):
            ctx.host.write(path, ctx.kept("before"))

    return Step(
        name=path.strip("/"),
        run=run,
        probe=lambda ctx: () if (ctx.host.read(path) or "").endswith("ours") else None,
        undo=undo_it,
    )


def _lanes():
    def lane(*steps, hook="join", stage="enter"):
        return Lane(stage=stage, hook=hook, plugin="p", machine="n1", about="n1", steps=steps)

    token = Step(name="token", run=lambda _ctx: [JoinToken(value="secret-token")], offers=(JoinToken,))
    return (
        lane(_write("/kept"), _write("/made"), hook="bootstrap", stage="found"),
        lane(token, hook="issue_token"),
        lane(_write("/adopted")),
    )


def _run(folder, *, fatal=0, moment="before"):
    """Run all stages, as one process does."""
    known = Secrets()
    path = folder / "run.jsonl"
    Dying.fatal, Dying.moment = fatal, moment
    journal = Dying.open(path, known) if path.exists() else Dying.create(path, {"run": "0" * 16}, known)
    host = LocalHost(known, root=str(folder / "root"))
    execution = Execution(Surroundings(host=host, plan=Plan("n1", _lanes()), journal=journal))
    for stage in ("found", "enter"):
        execution.run(stage)


def _in_a_process(folder, **how):
    process = multiprocessing.get_context("fork").Process(target=_run, args=(folder,), kwargs=how)
    process.start()
    process.join()
    return process.exitcode


def _undo(folder):
    known = Secrets()
    host = LocalHost(known, root=str(folder / "root"))
    journal = Journal.open(folder / "run.jsonl", known)
    return undo(Surroundings(host=host, plan=Plan("n1", _lanes()), journal=journal))


def _world(folder):
    return {path.name: path.read_text() for path in (folder / "root").iterdir()}


@pytest.fixture
def folder():
    with memory_folder() as made:
        root = made / "root"
        root.mkdir()
        (root / "kept").write_text(BEFORE)
        (root / "adopted").write_text("theirs and ours")
        yield made


FRESH = {"kept": BEFORE, "adopted": "theirs and ours"}
FORMED = {"kept": "ours", "made": "ours", "adopted": "theirs and ours"}


def test_the_lines_are_as_many_as_are_tried(folder):
    assert _in_a_process(folder) == 0
    assert len((folder / "run.jsonl").read_text().splitlines()) == LINES
    assert _world(folder) == FORMED


@pytest.mark.parametrize("moment", ["before", "torn", "after"])
@pytest.mark.parametrize("fatal", range(1, LINES + 1))
def test_killed_at_a_line(folder: Path, fatal, moment):
    assert _in_a_process(folder, fatal=fatal, moment=moment) == KILLED
    assert _in_a_process(folder) == 0
    assert _world(folder) == FORMED
    assert _undo(folder).left == {}
    assert _world(folder) == FRESH


@pytest.mark.parametrize("fatal", range(2, LINES + 1))
def test_undo_of_a_run_that_was_killed(folder: Path, fatal):
    assert _in_a_process(folder, fatal=fatal) == KILLED
    assert _undo(folder).left == {}
    assert _world(folder) == FRESH


@pytest.mark.parametrize("lines", [3, 4])  # two are spent on the token, which is made anew each time
def test_killed_again_and_again(folder: Path, lines):
    """Killed whenever it has written so many lines: each process comes a little further."""
    deaths = 0
    while _in_a_process(folder, fatal=lines, moment="after") != 0:
        deaths += 1
    assert deaths >= 2
    assert _world(folder) == FORMED
