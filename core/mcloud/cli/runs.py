"""`mcloud runs` and `mcloud runs show`: what was done on this machine, when, by which plugin, how long."""

from typing import Any

import click

from mcloud.cli.common import shown
from mcloud.cli.failing import spoken
from mcloud.cli.screen import Screen
from mcloud.history import Run, Told, find
from mcloud.history import runs as all_runs
from mcloud.state import State

_MARKS = {"failed": "bold red", "left": "bold red", "undone": "dim"}


@click.group(invoke_without_command=True)
@shown
def runs(screen: Screen) -> None:
    """List what mcloud did on this machine: all runs, the latest last.

    `mcloud runs show ID` tells one of them step by step; the beginning of an id will do.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    known = all_runs(State())
    if not known:
        screen.say("There was no run on this machine yet.", type="text")
    for run in known:
        screen.say(_line(run), type="run", **_fields(run))


@runs.command()
@click.argument("id", metavar="[ID]", required=False, default="")
@shown
def show(screen: Screen, id: str) -> None:  # noqa: A002 - click's name for the argument
    """Tell one run step by step: when, what, how long; the latest if no ID is given."""
    run = find(State(), id)
    screen.say(_line(run), "bold", type="run", **_fields(run))
    began = run.entry.created
    for told in run.story():
        seconds = max(0.0, (told.at - began).total_seconds())
        screen.say(
            f"{seconds:9.1f} s  {_said(told)}", _MARKS.get(told.event, ""),
            type="event", at=told.at.isoformat(), event=told.event, plugin=told.plugin, hook=told.hook,
            about=told.about, step=told.step, seconds=told.seconds, text=told.text,
        )  # fmt: skip


def _line(run: Run) -> str:
    when = run.entry.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    failed = f", {len(run.failed)} failed" if run.failed else ""
    # What an undo leaves is what was there before: nothing that this run has done.
    done = "" if run.outcome == "undone" else f", {run.done} steps done"
    return f"{run.entry.id}  {when}  {run.entry.command:8} {run.outcome}{done}{failed}" + (
        f"  (cloud {run.cloud}: {', '.join(run.machines)})" if run.machines else ""
    )


def _said(told: Told) -> str:
    took = f" ({told.seconds:.1f} s)" if told.seconds else ""
    text = f": {spoken(told.text)}" if told.text else ""
    if not told.step:
        return f"{told.event}{text}"
    return f"{told.plugin:6} {told.step} for {told.about}  {told.event}{took}{text}"


def _fields(run: Run) -> dict[str, Any]:
    return {
        "id": run.entry.id,
        "command": run.entry.command,
        "role": run.entry.role.value,
        "began": run.entry.created.isoformat(),
        "outcome": run.outcome,
        "cloud": run.cloud,
        "machines": list(run.machines),
        "done": run.done,
        "failed": list(run.failed),
    }
