"""The one door to a machine: commands, local sockets, files."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import requests


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it ended with status 0."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class FileStat:
    """What is at a path; `kind` follows symbolic links."""

    kind: Literal["file", "folder", "block", "socket", "other"]
    mode: int
    uid: int
    gid: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileImage:
    """What is at a path, enough to put it back: content, mode, owner, link; neither times nor ACLs."""

    content: bytes | None = None
    """Of the file, links followed; None where there is none."""
    mode: int = 0
    owner: str = ""
    """`user:group` as `Host.write` takes it, in numbers on a real machine."""
    link: str | None = None
    """What a symbolic link at the path says; None where the path itself is none."""
    target: str = ""
    """Where the path leads, all links followed: the path itself if there are none."""
    missing: tuple[str, ...] = ()
    """Folders above the target that are not there, the outermost first."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all at the path."""
        return self.content is None and self.link is None


Place = tuple[int, int]
"""A part of a device: offset and length, both in bytes."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What is in some places of a device."""

    found: tuple[str, ...]
    """Of each place: `zeros`, `erased` (nothing but 0xff, as flash is), or `data`."""
    digest: str
    """SHA-256, hex, of all that was read."""


class Device(Protocol):
    """One block device that is held open, so that neither its number nor its name can become another's.

    Every method raises ServiceError if the device does not answer in time or says no.
    """

    number: str
    """`major:minor`, of the device that is open."""
    size: int
    """Bytes."""
    node: str
    """A path by which a command reaches this very device while it is held."""

    def read(self, at: int, count: int) -> bytes:
        """Return what is on the device itself, less at its end. For labels: at most 1 MiB at once."""
        ...

    def sample(self, places: Sequence[Place]) -> Samples:
        """Read some places and tell what they hold; nothing is left in the kernel's memory."""
        ...

    def refusal(self) -> str:
        """Ask the kernel whether the device can be had alone; return why not, "" if it can."""
        ...

    def leads(self, path: str) -> bool:
        """Whether a path leads to this device now."""
        ...

    def zero(self, places: Sequence[Place]) -> None:
        """Write zeros, and have the table of partitions read again. Of the one door to disks only.

        Each place is written from its end to its start. Refused where the kernel does not give the
        device to one alone.
        """
        ...


class Host(Protocol):
    """This machine, as steps and `inspect` see it. There are no remote hosts."""

    stretch: float
    """Factor of all deadlines here. `run`, `http` and `StepContext.wait` heed it by themselves; multiply only
    what a program is told as its own time-out."""
    settling: float
    """Seconds in which what a step made may come and go by itself, while other machines come in, before it is
    taken for missing: OVN's controllers, for one, lose their server each time its raft votes anew."""

    @property
    def name(self) -> str:
        """Its host name."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        check: bool = True,
        seconds: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command without a shell and return what it said.

        Raises CommandError if it fails (unless `check` is false), is not there, or is still
        running after `seconds`, stretched (it is killed then; this one also with `check=False`).
        Refuses (PluginError) a `SecretStr` or a known secret in `argv` or `env`, which any local user
        can read: secrets go by `stdin` or `write(mode=0o600)`.
        """
        ...

    def read(self, path: str) -> str | None:
        """Return a text file's content; None where there is no such file."""
        ...

    def write(
        self, path: str, content: str | bytes | None, *, mode: int = 0o644, owner: str | None = None
    ) -> None:
        """Write a file atomically, parents made as needed; None removes it (no error if absent).

        `owner` is `user` or `user:group`, by names or numbers. The content may hold secrets if `mode`
        gives group and others nothing; else that is refused (PluginError). A link is followed, and what
        is there and is no file (a device, a folder) is not replaced (ServiceError).
        """
        ...

    def image(self, path: str) -> FileImage:
        """Return all that `put_back` needs of a file, of any content, or of its absence.

        Raises ServiceError for what is no file (a folder, a device), cannot be read or is too large.
        """
        ...

    def put_back(self, path: str, image: FileImage) -> None:
        """Make a path what it was: content, mode, owner, link, or nothing; parents made as needed.

        Raises ServiceError, before anything is changed, if the path would lead elsewhere than it did.
        What it holds is not looked at: what all could read before, all can read again.
        """
        ...

    def remove_folder(self, path: str) -> None:
        """Remove a folder if it is empty; else, and where there is none, do nothing."""
        ...

    def stat(self, path: str) -> FileStat | None:
        """Return what is at a path (links followed); None where there is nothing."""
        ...

    def list(self, path: str) -> Sequence[str]:
        """Return the sorted names in a folder; empty where there is no such folder."""
        ...

    def http(self, socket_path: str) -> requests.Session:
        """Return a session that talks HTTP over a local socket; URLs begin with `http://localhost/`.

        The caller gives each request its `timeout`; it is stretched.
        """
        ...

    def device(self, path: str, *, seconds: float = 30) -> AbstractContextManager[Device]:
        """Open a block device and hold it. Whatever is asked of it ends after `seconds`, stretched.

        Raises ServiceError where there is none or it cannot be opened. Only reads; to destroy what is
        on a disk there is one door, `mcloud.hold_disk` and `mcloud.free_disks`.
        """
        ...
