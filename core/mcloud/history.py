"""Runs as they were: journals told step by step. Only reads, also while another process writes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mcloud.errors import McloudError
from mcloud.journal import ABOUT_STEPS, ROSTERS
from mcloud.state import RunEntry, State

Outcome = Literal["finished", "not finished", "being undone", "undone", "nothing written", "damaged"]


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a run's story: what happened to a step, or to the run itself."""

    at: datetime
    event: str
    plugin: str = ""
    hook: str = ""
    about: str = ""
    step: str = ""
    seconds: float | None = None
    text: str = ""
    """Why it failed, or whom the line is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run on this machine, and how far it came."""

    entry: RunEntry
    cloud: str
    machines: tuple[str, ...]
    """The roster as it is now, the founder first."""
    outcome: Outcome
    done: int
    """Steps that are done or were there before."""
    failed: tuple[str, ...]
    """Keys of the steps that failed last time."""
    lines: tuple[Mapping[str, Any], ...]

    def story(self) -> Iterator[Told]:
        """Yield what happened, oldest first; what a step kept for its undo is left out."""
        for line in self.lines:
            if line["event"] in ABOUT_STEPS or (line["event"] == "restored" and "note" in line):
                yield _of_step(line)
            elif line["event"] not in {"kept", "restored", "applied"}:
                yield Told(_at(line), line["event"], text=_whom(line))


def runs(state: State) -> tuple[Run, ...]:
    """Return the runs of this machine, oldest first; of one whose journal is damaged only that is known."""
    return tuple(_known(entry, state.journal_path(entry.id)) for entry in state.runs())


def find(state: State, name: str) -> Run:
    """Return the run whose id begins with `name`, the latest for "". Raises McloudError if it is not one."""
    known = runs(state)
    found = known[-1:] if not name else [run for run in known if run.entry.id.startswith(name)]
    if len(found) == 1:
        entry = found[0].entry
        return _run(entry, _lines(state.journal_path(entry.id)))
    if not known:
        raise McloudError("there was no run on this machine yet", hint="`mcloud init` begins one")
    raise McloudError(
        f"{'several runs begin' if found else 'no run here begins'} with {name[:64]!r}",
        hint=f"there are {', '.join(run.entry.id for run in known)}",
    )


def _known(entry: RunEntry, path: Path) -> Run:
    try:
        return _run(entry, _lines(path))
    except McloudError:
        return Run(entry=entry, cloud="", machines=(), outcome="damaged", done=0, failed=(), lines=())


def _run(entry: RunEntry, lines: Sequence[Mapping[str, Any]]) -> Run:
    inputs: Mapping[str, Any] = next((line for line in reversed(lines) if line["event"] in ROSTERS), {})
    last = {line["key"]: line["event"] for line in lines if line["event"] in ABOUT_STEPS}
    return Run(
        entry=entry,
        cloud=str(inputs.get("cloud", "")),
        machines=tuple(str(node["name"]) for node in inputs.get("nodes", ())),
        outcome=_outcome([line["event"] for line in lines]),
        done=sum(event in {"done", "adopted"} for event in last.values()),
        failed=tuple(key for key, event in last.items() if event == "failed"),
        lines=tuple(lines),
    )


def _outcome(events: Sequence[str]) -> Outcome:
    if not events:
        return "nothing written"
    if "reverted" in events:
        return "undone"
    if "undoing" in events:
        return "being undone"
    # Who fell out of a finished run may come back: then it goes on, with the larger roster.
    ends = [event for event in events if event in {"finished", "grown"}]
    return "finished" if ends[-1:] == ["finished"] else "not finished"


def _lines(path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the whole lines of a journal; one that is being written, or was torn, is not whole."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise McloudError(f"{path} cannot be read: {error}") from None
    try:
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    except ValueError as error:
        raise McloudError(f"{path} is damaged: {error}", hint="move it away") from None
    for number, line in enumerate(lines, start=1):
        if not (isinstance(line, dict) and {"at", "event", "key"} <= line.keys()):
            raise McloudError(
                f"{path} is damaged: line {number} is no line of a journal", hint="move it away"
            )
    return lines


def _of_step(line: Mapping[str, Any]) -> Told:
    hook, plugin, _machine, about, step = str(line["key"]).split("/", 4)
    text = str(line.get("error") or line.get("note") or "")
    return Told(_at(line), line["event"], plugin, hook, about, step, line.get("seconds"), text)


def _whom(line: Mapping[str, Any]) -> str:
    if line["event"] in ROSTERS:
        return ", ".join(str(node["name"]) for node in line["nodes"])
    return str(line.get("machine", ""))


def _at(line: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(line["at"])
