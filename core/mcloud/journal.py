"""The append-only record of one run on one machine: one JSON line an event, synced before going on."""

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from mcloud.errors import McloudError, PluginError
from mcloud.files import sync_folder
from mcloud.secrets import Secrets

Event = Literal[
    "plan",  # first line: all inputs of planning
    "cut", "grown",  # a smaller, or larger, roster from here on
    "started", "done", "adopted", "failed", "undone", "left",  # about a step; the last one wins
    "kept", "restored",  # what was there before a step, for its undo; a file of others is there again
    "applied",  # what a joiner's lane sends along when it asks for its token
    "parted",  # a joiner heard that the cloud is formed
    "finished",  # the run is complete
    "undoing", "reverted",  # an undo began (closed to resume), or ended
]  # fmt: skip

ROSTERS = frozenset({"plan", "cut", "grown"})
"""Events that hold all inputs of planning."""
ABOUT_STEPS = frozenset({"started", "done", "adopted", "failed", "undone", "left"})


class Journal:
    """One run's journal; every write is on disk when it returns. Safe to use from several threads."""

    lasting = True
    """Whether it is on disk, and what is kept beside it can be found again."""

    def __init__(self, path: Path, lines: Sequence[Mapping[str, Any]], secrets: Secrets) -> None:
        """Take over lines that are already on disk; use `create` or `open`."""
        self.path = path
        self._secrets = secrets
        self._lock = threading.Lock()
        self._lines = list(lines)
        self._last: dict[str, Mapping[str, Any]] = {}
        self._kept: dict[tuple[str, str], str | None] = {}
        self._begun: set[str] = set()
        self._settled: set[str] = set()
        self._back = 0
        self._done_at: dict[str, int] = {}
        self._parted: set[str] = set()
        self._finished = False
        for line in lines:
            self._note(line)

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any], secrets: Secrets) -> Self:
        """Begin a journal whose first line holds all inputs of planning.

        It is there with that line or not at all. Raises McloudError if the run has one already.
        """
        if path.exists():
            raise McloudError(
                f"there is a journal of this run already: {path}", hint="`mcloud runs` lists them"
            )
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        journal = cls(fresh, (), secrets)
        journal.write("plan", **header)
        journal.path = fresh.rename(path)
        sync_folder(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path, secrets: Secrets) -> Self:
        """Read a journal back; a torn last line (we died while writing it) is cut off.

        Raises McloudError if it does not begin with a plan or is broken elsewhere.
        """
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            with path.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise McloudError(
                f"{path} is not a journal: {error}", hint="restore it, or move it away"
            ) from None
        if not lines or lines[0].get("event") != "plan":
            raise McloudError(
                f"{path} does not begin with a plan", hint="move it away; nothing was changed by it"
            )
        return cls(path, lines, secrets)

    @property
    def header(self) -> Mapping[str, Any]:
        """All inputs of planning, as the run began."""
        return self._lines[0]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """All inputs of planning, as they are now: those of the last roster."""
        return next((line for line in reversed(self._lines) if line["event"] in ROSTERS), self.header)

    @property
    def rosters(self) -> Sequence[Mapping[str, Any]]:
        """All inputs of planning that the run ever had, the oldest first."""
        return [line for line in self.lines() if line["event"] in ROSTERS]

    @property
    def finished(self) -> bool:
        """Whether the run is complete, with the roster that it has now."""
        return self._finished

    @property
    def closed(self) -> bool:
        """Whether the run cannot go on: an undo of it began."""
        return self.has("undoing")

    def has(self, event: Event) -> bool:
        """Whether there is a line of this event."""
        return any(line["event"] == event for line in self._lines)

    @property
    def parted(self) -> frozenset[str]:
        """Names of the joiners that heard that the cloud is formed, as large as it is now."""
        return frozenset(self._parted)

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """Yield all lines, oldest first."""
        with self._lock:
            return iter(tuple(self._lines))

    def last(self, key: str) -> Event | None:
        """Return the last event of a step; None if nothing is known of it."""
        line = self._last.get(key)
        return line["event"] if line else None

    def settled(self, key: str) -> bool:
        """Whether a step is done, or was there before, for the roster that the run has now.

        Who does what follows from the roster: after a change of it every step is looked at again.
        """
        return key in self._settled

    def begun(self, key: str) -> bool:
        """Whether a step has ever been run: else what is there now was there before."""
        return key in self._begun

    def done_since(self, key: str, back: int) -> bool:
        """Whether a step was done, or adopted, since machines were let back in for the `back`-th time."""
        return self._done_at.get(key, -1) >= back

    def offers(self, key: str) -> Sequence[Mapping[str, Any]]:
        """Return what a step offered, as journalled: `{"kind": ..., "fact": {...}}`."""
        line = self._last.get(key)
        return line.get("offers", ()) if line else ()

    def kept(self, key: str, name: str) -> tuple[bool, str | None]:
        """Return whether a step kept something under this name, and what."""
        return (key, name) in self._kept, self._kept.get((key, name))

    def all_kept(self) -> Mapping[tuple[str, str], str | None]:
        """Return all that steps kept, by step key and name, the first one first."""
        with self._lock:
            return dict(self._kept)

    def write(self, event: Event, key: str = "", **data: Any) -> None:
        """Append one line and sync it. Raises PluginError if it would hold a known secret."""
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "key": key,
            **data,
        }
        text = json.dumps(line, ensure_ascii=True, separators=(",", ":"))
        if self._secrets.found_in(text):
            raise PluginError(
                f"a secret was about to be written to the journal by {key or event}",
                plugin=key.split("/")[1] if "/" in key else "core",
                hint="secrets are never kept or offered; this is for the plugin's author",
            )
        with self._lock:
            self._append(text.encode() + b"\n")
            self._lines.append(line)
            self._note(line)

    def _append(self, line: bytes) -> None:
        """Write a whole line or none: what a full disk took of it is taken away again."""
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError as error:
                file.truncate(before)
                raise McloudError(
                    f"the journal {self.path} cannot be written: {error.strerror}",
                    hint="make room on that disk; then run the same command again",
                ) from error

    def _note(self, line: Mapping[str, Any]) -> None:
        key, event = line.get("key", ""), line["event"]
        if key and event in ABOUT_STEPS:
            self._last[key] = line
            if event == "started":
                self._begun.add(key)
            (self._settled.add if event in {"done", "adopted"} else self._settled.discard)(key)
            if event in {"done", "adopted"}:
                self._done_at[key] = self._back
        elif event in ROSTERS:
            self._note_roster(line)
        elif event == "finished":
            self._finished = True
        elif event == "parted":
            self._parted.add(line["machine"])
        elif event == "kept":
            self._kept.setdefault((key, line["name"]), line["value"])
        elif event == "applied":
            self._kept[key, "applied"] = line["value"]

    def _note_roster(self, line: Mapping[str, Any]) -> None:
        self._back = line.get("back", 0)
        self._settled.clear()
        if line["event"] == "grown":
            self._finished = False
            self._parted.clear()
