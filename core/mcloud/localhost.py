"""The machine this program runs on, as `Host`: the only place that starts commands and opens its files."""

import os
import socket
import stat
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import requests
from pydantic import SecretBytes, SecretStr

from mcloud.commands import ended_badly, ended_late, not_there, said_too_much
from mcloud.errors import PluginError, ServiceError
from mcloud.files import kind_of, make_folders, remove_empty, remove_file, replace_file
from mcloud.host import Device, FileImage, FileStat, Result
from mcloud.images import LARGEST_FILE, image_of, put_image, read_whole, refuse_no_file
from mcloud.opendevice import KEEPER, open_device
from mcloud.process import run_program
from mcloud.rooted import inside
from mcloud.secrets import Secrets
from mcloud.unixhttp import unix_session

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"

SETTLING = 10.0

_DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class LocalHost:
    """This machine; with a `prefix` and `root` (the lab, tests) the one behind them.

    `prefix` is put before every command (`nsenter -t PID -a --`); `root` is that machine's root
    folder as seen from here (`/proc/PID/root`): absolute links in it stay inside.
    """

    def __init__(
        self, secrets: Secrets, *, prefix: Sequence[str] = (), root: str = "/", stretch: float = 1.0
    ) -> None:
        """Refuse, from now on, what `secrets` holds wherever others could read it."""
        self.stretch = stretch
        self.settling = SETTLING
        self._secrets = secrets
        self._prefix = tuple(prefix)
        self._root = root
        self._name = ""
        self._writing = threading.Lock()

    @property
    def name(self) -> str:
        """Its host name, the first label in lower case: as `Node.name` wants it."""
        if not self._name:
            whole = self.run(["uname", "-n"]).stdout.strip() if self._prefix else socket.gethostname()
            self._name = whole.partition(".")[0].lower()
        return self._name

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        check: bool = True,
        seconds: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command as `Host.run` says: C.UTF-8, few variables, killed with us and at its deadline.

        Output is kept to 8 MiB a stream: more than that on standard output is a CommandError once
        the command has ended, the start of standard error is dropped.
        """
        self._refuse_secrets([*argv, *(env or {}), *(env or {}).values()], argv=argv)
        program = self._program(argv[0])
        if program is None:
            raise not_there(argv)
        whole = self._guarded([program, *argv[1:]])
        text = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
        stretch = self.stretch
        try:
            ended = run_program(whole, stdin=text, env=_variables(env or {}), seconds=seconds * stretch)
        except OSError as error:
            raise not_there(argv, reason=error.strerror or "") from None
        stdout, stderr = ended.stdout.decode("utf-8", "replace"), ended.stderr.decode("utf-8", "replace")
        if ended.status is None:
            raise ended_late(
                argv, seconds=seconds, stretch=stretch, stdout=stdout, stderr=stderr, secrets=self._secrets
            )
        if ended.cut:
            raise said_too_much(argv, status=ended.status)
        result = Result(ended.status, stdout, stderr)
        if check and not result.ok:
            raise ended_badly(argv, result, secrets=self._secrets)
        return result

    def read(self, path: str) -> str | None:
        """Return a text file's content, as `Host.read` says; ServiceError if it is no text or too large."""
        try:
            content, _ = read_whole(self._at(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ServiceError(f"cannot read {path}: {error.strerror}") from error
        if len(content) > LARGEST_FILE:
            raise ServiceError(f"cannot read {path}: it is larger than {LARGEST_FILE} bytes")
        try:
            return content.decode()
        except UnicodeDecodeError:
            # Guessing would destroy the file when a step writes back what it kept of it.
            raise ServiceError(f"cannot read {path}: it is not UTF-8 text") from None

    def write(
        self, path: str, content: str | bytes | None, *, mode: int = 0o644, owner: str | None = None
    ) -> None:
        """Write or remove a file, as `Host.write` says.

        A link is followed when written, and removed itself by None. Folders that are made on the
        way are root's with 0755: what must not be read is guarded by the file's own mode.
        """
        if content is not None and mode & 0o077 and self._secrets.found_in(content):
            raise PluginError(
                f"{path} would hold a secret, with mode {mode:04o}",
                plugin="",
                hint="a file with a secret in it gets mode=0o600",
            )
        ids = None if owner is None else self._ids(owner)
        try:
            with self._writing:
                if content is None:
                    remove_file(self._at(path, last=False))
                    return
                target = self._at(path)
                refuse_no_file(target, path)
                make_folders(target.parent, mode=0o755)
                data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
                replace_file(target, data, mode=mode, owner=ids)
        except OSError as error:
            raise ServiceError(f"cannot write {path}: {error.strerror}") from error

    def image(self, path: str) -> FileImage:
        """Return all that `put_back` needs of a file, as `Host.image` says."""
        return image_of(self._root, path)

    def put_back(self, path: str, image: FileImage) -> None:
        """Make a path what it was, as `Host.put_back` says."""
        try:
            with self._writing:
                put_image(self._root, path, image)
        except OSError as error:
            raise ServiceError(f"cannot put {path} back: {error.strerror}") from error

    def remove_folder(self, path: str) -> None:
        """Remove a folder if it is empty, as `Host.remove_folder` says."""
        try:
            remove_empty(self._at(path, last=False))
        except OSError as error:
            raise ServiceError(f"cannot remove {path}: {error.strerror}") from error

    def stat(self, path: str) -> FileStat | None:
        """Return what is at a path, as `Host.stat` says."""
        try:
            found = self._at(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ServiceError(f"cannot look at {path}: {error.strerror}") from error
        return FileStat(
            kind=kind_of(found.st_mode),
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size,
        )

    def list(self, path: str) -> Sequence[str]:
        """Return the sorted names in a folder, as `Host.list` says."""
        try:
            return sorted(os.listdir(self._at(path)))  # noqa: PTH208 - names are wanted, not paths
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise ServiceError(f"cannot list {path}: {error.strerror}") from error

    def http(self, socket_path: str) -> requests.Session:
        """Return a new session, for one thread, that reaches this socket and nothing else."""
        return unix_session(str(self._at(socket_path)), stretch=self.stretch)

    def device(self, path: str, *, seconds: float = 30) -> AbstractContextManager[Device]:
        """Open a block device and hold it, as `Host.device` says: in a process that can be left."""
        argv = self._guarded([sys.executable, "-I", "-S", "-c", KEEPER, path])
        return open_device(argv, path, env=_variables({}), seconds=seconds * self.stretch, machine=self.name)

    def _at(self, path: str, *, last: bool = True) -> Path:
        return inside(self._root, path, follow_last=last)

    def _program(self, name: str) -> str | None:
        """Find a program as that machine's own shell would; None if it is not there."""
        candidates = [name] if "/" in name else [f"{folder}/{name}" for folder in PATH.split(":")]
        for path in candidates:
            found = self._at(path)
            if found.is_file() and os.access(found, os.X_OK):
                return path
        return None

    def _guarded(self, argv: Sequence[str]) -> Sequence[str]:
        """Have the kernel end a command with us: nobody else would know that it still runs."""
        guard = _DIE_WITH_US if self._program(_DIE_WITH_US[0]) else ()
        return (*guard, *self._prefix, *guard, *argv) if self._prefix else (*guard, *argv)

    def _refuse_secrets(self, words: Sequence[object], *, argv: Sequence[str]) -> None:
        for word in words:
            hidden = isinstance(word, SecretStr | SecretBytes)
            if hidden or self._secrets.found_in(word if isinstance(word, str | bytes) else str(word)):
                raise PluginError(
                    f"a secret in the arguments or variables of {self._secrets.mask(str(argv[0]))}",
                    plugin="",
                    hint="any local user can read them there: give it by stdin, or in a file with mode=0o600",
                )

    def _ids(self, owner: str) -> tuple[int, int]:
        """Return the numbers of `user` or `user:group`: names by that machine's own lists."""
        user, _, group = owner.partition(":")
        if user.isdecimal() and group.isdecimal():
            return int(user), int(group)
        of_user = self._entry("passwd", user)
        gid = of_user[3] if not group else self._entry("group", group)[2]
        return int(of_user[2]), int(gid)

    def _entry(self, database: Literal["passwd", "group"], name: str) -> Sequence[str]:
        found = self.run(["getent", database, name], check=False)
        if not found.ok:
            what = "user" if database == "passwd" else "group"
            raise ServiceError(
                f"there is no {what} {name!r} on this machine", hint="is its package installed?"
            )
        return found.stdout.strip().split(":")


def _variables(env: Mapping[str, str]) -> Mapping[str, str]:
    """Return a command's whole environment: nothing of ours may change what a service does."""
    home = os.environ.get("HOME", "/root")
    return {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **env}
