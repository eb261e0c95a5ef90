"""/var/lib/mcloud: own key and certificate, pins and journals of the runs, the cloud's record, the lock."""

import itertools
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from mcloud.errors import McloudError
from mcloud.files import make_folders, remove_file, replace_file
from mcloud.lock import hold
from mcloud.model import Role
from mcloud.records import Printable, Record

FOLDER = "/var/lib/mcloud"

VARIABLE = "MCLOUD_STATE"
"""Environment variable that names another folder (tests, the lab)."""

_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Pin(NamedTuple):
    """The one certificate by which another machine is known, in one run."""

    fingerprint: str
    certificate: str
    """PEM."""


_PINS = TypeAdapter(dict[str, Pin])


class RunEntry(Record):
    """One line of `runs/index`: a run that began on this machine."""

    id: str
    command: Printable
    role: Role
    created: datetime
    digest: str = Field(
        default="", description="input digest: by it the same command finds its journal again"
    )


class State:
    """What mcloud itself keeps on this machine: root's alone, every write atomic and synced.

    Only what is written makes the folder: to look needs nothing. Errors of the file system are
    McloudErrors.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """Use the folder given, else that of `$MCLOUD_STATE`, else `/var/lib/mcloud`."""
        self.folder = Path(folder or os.environ.get(VARIABLE) or FOLDER)
        self._writing = threading.Lock()

    @property
    def key_path(self) -> Path:
        """Where this machine's private key is (PEM)."""
        return self.folder / "key.pem"

    @property
    def certificate_path(self) -> Path:
        """Where this machine's certificate is (PEM)."""
        return self.folder / "certificate.pem"

    def prepare(self) -> None:
        """Make the folders, for root alone; refuse one that belongs to somebody else."""
        with _told(self.folder):
            make_folders(self.folder.parent, mode=0o755)
            for folder in (self.folder, self.folder / "runs"):
                make_folders(folder, mode=0o700)
                if folder.stat().st_uid != os.geteuid():
                    raise McloudError(
                        f"{folder} belongs to another user",
                        hint="mcloud keeps its keys there: move it away, or give it to root",
                    )
                folder.chmod(0o700)

    # -- runs

    def journal_path(self, run: str) -> Path:
        """Return where a run's journal is, or is to be; McloudError for what is no run's id."""
        return self.folder / "runs" / f"{_checked(run)}.jsonl"

    def begin_run(self, *, command: str, role: Role, digest: str = "", run: str | None = None) -> RunEntry:
        """Note a new run in the index, before its journal; a joiner is told the id, else it is random."""
        entry = RunEntry(
            id=_checked(run or secrets.token_hex(8)),
            command=command,
            role=role,
            created=datetime.now(UTC),
            digest=digest,
        )
        self.prepare()
        index = self.folder / "runs" / "index"
        with self._writing, _told(index):
            self._write_index((*self.runs(), entry))
        return entry

    def set_aside(self, run: str) -> None:
        """Keep a run that was taken back under another id: the same run may begin here once more."""
        number = next(n for n in itertools.count(1) if not self.journal_path(f"{run}-{n}").exists())
        name, index = f"{run}-{number}", self.folder / "runs" / "index"
        with self._writing, _told(index):
            for suffix in (".aside", ".jsonl"):
                if (path := self.journal_path(run).with_suffix(suffix)).exists():
                    path.rename(self.journal_path(name).with_suffix(suffix))
            entries = [
                entry.model_copy(update={"id": name}) if entry.id == run else entry for entry in self.runs()
            ]
            self._write_index(entries)

    def _write_index(self, entries: Sequence[RunEntry]) -> None:
        # Written anew instead of appended to: a line torn by a power cut goes at the same time.
        text = "".join(entry.model_dump_json() + "\n" for entry in entries)
        replace_file(self.folder / "runs" / "index", text.encode(), mode=0o600)

    def runs(self) -> tuple[RunEntry, ...]:
        """Return the runs of this machine, oldest first."""
        index = self.folder / "runs" / "index"
        with _told(index):
            text = _text(index)
        lines = text[: text.rfind("\n") + 1].splitlines()
        try:
            return tuple(RunEntry.model_validate_json(line) for line in lines)
        except ValidationError:
            raise _damaged(index) from None

    def latest(self) -> RunEntry | None:
        """Return the run that began last and has a journal."""
        return next((run for run in reversed(self.runs()) if self.journal_path(run.id).exists()), None)

    def unfinished(self, finished: Callable[[Path], bool]) -> RunEntry | None:
        """Return the latest run that can go on: one with a journal of which `finished` is false."""
        for run in reversed(self.runs()):
            path = self.journal_path(run.id)
            if path.exists() and not finished(path):
                return run
        return None

    # -- pins

    def pin(self, run: str, name: str, fingerprint: str, certificate: str) -> None:
        """Know a machine by this certificate (PEM) for the rest of a run; a later one replaces it."""
        self.prepare()
        path = self._pins_path(run)
        with self._writing, _told(path):
            known = {**self.pins(run), name: Pin(fingerprint, certificate)}
            replace_file(path, _PINS.dump_json(known), mode=0o600)

    def pins(self, run: str) -> Mapping[str, Pin]:
        """Return the machines known in a run, by name."""
        path = self._pins_path(run)
        with _told(path):
            text = _text(path)
        try:
            return _PINS.validate_json(text or "{}")
        except ValidationError:
            raise _damaged(path) from None

    def forget(self, run: str) -> None:
        """Forget the pins of a run: a new code is needed from here on."""
        path = self._pins_path(run)
        with self._writing, _told(path):
            remove_file(path)

    def _pins_path(self, run: str) -> Path:
        return self.folder / "runs" / f"{_checked(run)}.pins"

    # -- the cloud

    def write_cloud(self, record: Mapping[str, Any] | None) -> None:
        """Write `cloud.json`, this machine's copy of the cloud's record; None removes it."""
        path = self.folder / "cloud.json"
        if record is not None:
            self.prepare()
        with self._writing, _told(path):
            if record is None:
                remove_file(path)
            else:
                replace_file(path, json.dumps(record, indent=1, sort_keys=True).encode() + b"\n", mode=0o600)

    def read_cloud(self) -> Mapping[str, Any] | None:
        """Return what `cloud.json` holds; None if this machine is in no cloud."""
        path = self.folder / "cloud.json"
        with _told(path):
            text = _text(path)
        if not text:
            return None
        try:
            record = json.loads(text)
        except ValueError:
            raise _damaged(path) from None
        if not isinstance(record, dict):
            raise _damaged(path)
        return record

    # -- one at a time

    @contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Keep other runs off this machine; McloudError names who holds it. Ends with the process."""
        self.prepare()
        path = self.folder / "lock"
        with ExitStack() as held:
            with _told(path):
                held.enter_context(hold(path, command))
            yield


def _checked(run: str) -> str:
    """Return a run's id; it may come from another machine and becomes a file's name."""
    if not _RUN.fullmatch(run):
        raise McloudError(f"{run[:64]!r} is not the id of a run", hint="runs/ there has one file for each")
    return run


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _damaged(path: Path) -> McloudError:
    return McloudError(f"{path} is damaged", hint="put back a copy of it, or move it away")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what a person can do about an error of the file system."""
    try:
        yield
    except PermissionError as error:
        raise McloudError(f"no permission for {error.filename or path}", hint="run mcloud as root") from error
    except OSError as error:
        raise McloudError(f"{error.filename or path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise _damaged(path) from None
