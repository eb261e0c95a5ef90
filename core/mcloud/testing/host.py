"""FakeHost: a machine that exists in memory only, with the manners of the real one."""

import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from pydantic import SecretBytes, SecretStr
from requests.adapters import BaseAdapter

from mcloud.commands import ended_badly, not_there
from mcloud.errors import PluginError, ServiceError
from mcloud.host import FileImage, FileStat, Result
from mcloud.secrets import Secrets
from mcloud.testing.disks import WithDisks, disks_answer, kernel_says
from mcloud.testing.filing import FakeFile, Filing


class Call(tuple[str, ...]):  # noqa: SLOT001 - a tuple has no room for slots
    """One command that was run: a tuple of its words, with what it was given beside them."""

    stdin: str
    env: Mapping[str, str]

    def __new__(cls, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None) -> Self:
        """Keep the words and what came on standard input."""
        made = super().__new__(cls, argv)
        made.stdin = stdin
        made.env = dict(env or {})
        return made


Answer = Callable[[Call], Result | str | None]
"""What a command says: a Result, its standard output (status 0), or None: there is no such program."""

SocketAnswer = Callable[[requests.PreparedRequest], tuple[int, Any]]
"""What a service says on its socket: a status and what becomes JSON."""


class PowerLost(BaseException):
    """The machine is off: nothing that was begun comes to its end. No Exception: nobody may catch it."""


@dataclass
class FakeHost(WithDisks):
    """A machine whose commands are answered by a function and whose files are in memory.

    As `LocalHost` does, it refuses secrets in arguments, variables and open files, and a command
    that nobody answers is a program that is not installed.
    """

    answer: Answer = lambda _argv: None
    name: str = "n1"
    files: dict[str, FakeFile] = field(default_factory=dict)
    sockets: Mapping[str, SocketAnswer] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    calls: list[Call] = field(default_factory=list)
    stretch: float = 1.0
    settling: float = 0.0
    """See `Host`; nothing comes and goes by itself on a fake machine."""
    off: bool = False
    """Set it to cut the power: whatever is asked of the machine ends the thread that asks."""
    before: Callable[[str], None] = lambda _what: None
    """Called before each use of the machine, with what it is (`run ceph`).

    If it raises ServiceError the machine said no: a command ends with status 1.
    """
    made: set[str] = field(default_factory=set)
    """Folders that were made by writing files into them and are not gone."""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def folders(self) -> frozenset[str]:
        """All folders but those that every machine has, or that come and go by themselves."""
        return self._filing.folders()

    @property
    def _filing(self) -> Filing:
        return Filing(self.files, self.made)

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        check: bool = True,
        seconds: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Answer a command, as `Host.run` says; `seconds` are not waited for."""
        if seconds <= 0:
            raise PluginError(f"{argv[0]} is given no time", plugin="", hint="`seconds` is above 0")
        for word in (*argv, *(env or {}), *(env or {}).values()):
            self._refuse_secret(word, argv)
        text = stdin.decode("utf-8", "replace") if isinstance(stdin, bytes) else stdin or ""
        call = Call(argv, stdin=text, env=env)
        with self._lock:
            self.calls.append(call)
        try:
            self.use(f"run {argv[0]}")
            about_disks = disks_answer(self, call)
            said = self.answer(call) if about_disks is None else about_disks
        except ServiceError as no:
            said = Result(1, "", str(no))
        if self.off:
            raise PowerLost
        if said is None:
            raise not_there(argv)
        if argv[0] in {"rm", "rmdir"}:
            for path in (word for word in argv[1:] if word.startswith("/")):
                self._filing.gone(path)
        result = Result(0, said, "") if isinstance(said, str) else said
        if check and not result.ok:
            raise ended_badly(argv, result, secrets=self.secrets)
        return result

    def read(self, path: str) -> str | None:
        """Return a text file's content, as `Host.read` says."""
        self.use(f"read {path}")
        if (shown := kernel_says(self.disks, path)) is not None:
            return shown
        file = self.files.get(self._at(path))
        if (file is not None and file.kind == "folder") or (file is None and self._names(path)):
            raise ServiceError(f"cannot read {path}: Is a directory")
        if file is None:
            return None
        try:
            return file.content.decode()
        except UnicodeDecodeError:
            raise ServiceError(f"cannot read {path}: it is not UTF-8 text") from None

    def write(
        self, path: str, content: str | bytes | None, *, mode: int = 0o644, owner: str | None = None
    ) -> None:
        """Write or remove a file, as `Host.write` says."""
        self.use(f"write {path}")
        if content is not None and mode & 0o077 and self.secrets.found_in(content):
            raise PluginError(
                f"{path} would hold a secret, with mode {mode:04o}",
                plugin="",
                hint="a file with a secret in it gets mode=0o600",
            )
        with self._lock:
            if content is None:
                self._filing.remove(_absolute(path))
                return
            data = content.encode() if isinstance(content, str) else content
            whole = owner if owner and ":" in owner else f"{owner}:{owner}" if owner else "root:root"
            self._filing.put(self._at(path), FakeFile(content=data, mode=mode, owner=whole))

    def image(self, path: str) -> FileImage:
        """Return all that `put_back` needs of a file, as `Host.image` says."""
        self.use(f"image {path}")
        return self._filing.image(_absolute(path))

    def put_back(self, path: str, image: FileImage) -> None:
        """Make a path what it was, as `Host.put_back` says."""
        self.use(f"put back {path}")
        with self._lock:
            self._filing.put_back(_absolute(path), image)

    def remove_folder(self, path: str) -> None:
        """Remove a folder if it is empty, as `Host.remove_folder` says."""
        self.use(f"remove {path}")
        with self._lock:
            self._filing.remove_folder(_absolute(path))

    def stat(self, path: str) -> FileStat | None:
        """Return what is at a path, as `Host.stat` says; folders are where files are in them."""
        self.use(f"stat {path}")
        file = self.files.get(self._at(path))
        if file is None and self.disk(path) is not None:
            file = FakeFile(kind="block", mode=0o660)
        if file is None and (self._names(path) or path in self.made):
            file = FakeFile(kind="folder", mode=0o755)
        if file is None or file.kind == "link":
            return None
        owner = 0 if file.owner == "root:root" else 1000
        return FileStat(kind=file.kind, mode=file.mode, uid=owner, gid=owner, size=len(file.content))

    def list(self, path: str) -> Sequence[str]:
        """Return the sorted names in a folder, as `Host.list` says."""
        self.use(f"list {path}")
        return self._names(path)

    def http(self, socket_path: str) -> requests.Session:
        """Return a session that the answer function of this socket answers."""
        self.use(f"http {socket_path}")
        session = requests.Session()
        session.trust_env = False
        session.adapters.clear()
        session.mount("http://localhost/", _FakeSocket(self, socket_path))
        return session

    def _at(self, path: str) -> str:
        return self._filing.at(_absolute(path))

    def use(self, what: str) -> None:
        """Raise what this use of the machine shall end with, if anything."""
        if self.off:
            raise PowerLost
        self.before(what)

    def _names(self, path: str) -> Sequence[str]:
        prefix = _absolute(path).rstrip("/") + "/"
        with self._lock:
            known = (*self.files, *self.made)
            inside = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
        return sorted({name.partition("/")[0] for name in inside})

    def _refuse_secret(self, word: object, argv: Sequence[str]) -> None:
        if isinstance(word, SecretStr | SecretBytes) or self.secrets.found_in(str(word)):
            raise PluginError(
                f"a secret in the arguments or variables of {self.secrets.mask(str(argv[0]))}",
                plugin="",
                hint="any local user can read them there: give it by stdin, or in a file with mode=0o600",
            )


class _FakeSocket(BaseAdapter):
    def __init__(self, host: FakeHost, path: str) -> None:
        super().__init__()
        self._host = host
        self._path = path

    def send(self, request: requests.PreparedRequest, *_how: Any, **_options: Any) -> requests.Response:
        """Answer one request."""
        self._host.use(f"{request.method} {request.url}")
        answer = self._host.sockets.get(self._path)
        if answer is None:
            raise requests.ConnectionError(f"nobody listens at {self._path}", request=request)
        status, said = answer(request)
        response = requests.Response()
        response.status_code, response.url, response.request = status, str(request.url), request
        response.encoding = "utf-8"
        response.raw = io.BytesIO(said if isinstance(said, bytes) else json.dumps(said).encode())
        return response

    def close(self) -> None:
        """Close nothing."""


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ServiceError(f"{path} is no absolute path")
    return path
