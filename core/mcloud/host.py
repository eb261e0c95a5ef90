"""The one door to a machine: commands, local sockets, files."""

from collections.abc import Mapping, Sequence
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

        `owner` is `user` or `user:group`. The content may hold secrets if `mode` gives group and
        others nothing; else that is refused (PluginError).
        """
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
