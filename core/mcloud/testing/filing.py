"""The files of a FakeHost: written, linked, seen whole and put back; and the folders that come of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath
from typing import Literal

from mcloud.errors import ServiceError
from mcloud.host import FileImage

LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""

FOLDERS = frozenset(
    [
        "/",
        "/boot",
        "/etc",
        "/etc/default",
        "/etc/systemd",
        "/etc/systemd/system",
        "/home",
        "/opt",
        "/root",
        "/srv",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/local",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/share",
        "/var",
        "/var/cache",
        "/var/lib",
        "/var/log",
    ]
)
"""Folders that every machine has."""

PASSING = ("/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108 - names of folders of no machine
"""Where folders come and go by themselves: they are not noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFile:
    """One file (or device, socket, folder, link) of a FakeHost; the content of a link is where it leads."""

    content: bytes = b""
    mode: int = 0o644
    owner: str = "root:root"
    kind: Literal["file", "folder", "block", "socket", "link", "other"] = "file"


@dataclass
class Filing:
    """The files of a fake machine, and the folders that were made for them and are not theirs alone."""

    files: dict[str, FakeFile]
    made: set[str] = field(default_factory=set)
    """Folders that writing made, or that removing left."""

    def at(self, path: str) -> str:
        """Return where a path leads, its last part followed if it is a link."""
        for _ in range(LINKS):
            file = self.files.get(path)
            if file is None or file.kind != "link":
                return path
            path = normpath(join(dirname(path), file.content.decode()))
        raise ServiceError(f"too many levels of symbolic links: {path}")

    def has_folder(self, path: str) -> bool:
        """Whether there is such a folder: put there, made, every machine's, or with something in it."""
        file = self.files.get(path)
        known = path in FOLDERS or path in self.made or (file is not None and file.kind == "folder")
        return known or any(name.startswith(path.rstrip("/") + "/") for name in (*self.files, *self.made))

    def folders(self) -> frozenset[str]:
        """Return all folders but those that every machine has, or that come and go by themselves."""
        implied = {folder for path in (*self.files, *self.made) for folder in _above(path)}
        put = {path for path, file in self.files.items() if file.kind == "folder"}
        return frozenset(path for path in (implied | put | self.made) - FOLDERS if not _passes(path))

    def put(self, path: str, file: FakeFile) -> None:
        """Put a file in place, with the folders above it."""
        there = self.files.get(path)
        if self.has_folder(path) or (there is not None and there.kind not in {"file", "link"}):
            raise ServiceError(f"{path} is no file: it is not replaced")
        self._keep_folders(path)
        self.files[path] = file

    def remove(self, path: str) -> None:
        """Remove a file; the folders above it stay."""
        if path in self.files:
            self._keep_folders(path)
            del self.files[path]

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        if not any(name.startswith(f"{path}/") for name in (*self.files, *self.made)):
            self.made.discard(path)
            if path in self.files and self.files[path].kind == "folder":
                del self.files[path]

    def gone(self, path: str) -> None:
        """Forget the folders at and below a path that a command has removed."""
        self.made -= {name for name in self.made if f"{name}/".startswith(f"{path}/")}

    def image(self, path: str) -> FileImage:
        """Return what is at a path, as `Host.image` says."""
        own, target = self.files.get(path), self.at(path)
        file = self.files.get(target)
        if self.has_folder(target) or (file is not None and file.kind != "file"):
            raise ServiceError(f"{target} is no file: it is not replaced")
        missing = tuple(folder for folder in _above(target) if not self.has_folder(folder))
        link = own.content.decode() if own is not None and own.kind == "link" else None
        if file is None:
            return FileImage(link=link, target=target, missing=missing)
        return FileImage(
            content=file.content, mode=file.mode, owner=file.owner, link=link, target=target, missing=missing
        )

    def put_back(self, path: str, image: FileImage) -> None:
        """Make a path what it was, as `Host.put_back` says."""
        says = None if image.link is None else normpath(join(dirname(path), image.link))
        if (path if says is None else self.at(says)) != image.target:
            raise ServiceError(
                f"{path} cannot be put back: it led to {image.target}, and would lead to {self.at(path)} now"
            )
        if image.link is not None:
            self.put(path, FakeFile(content=image.link.encode(), kind="link", mode=0o777))
        if image.content is None:
            self.remove(image.target)
        else:
            self.put(image.target, FakeFile(content=image.content, mode=image.mode, owner=image.owner))

    def _keep_folders(self, path: str) -> None:
        self.made |= {folder for folder in _above(path) if folder not in FOLDERS and not _passes(folder)}


def _above(path: str) -> Iterator[str]:
    """Yield the folders above a path, the outermost first, without the root."""
    parts = path.split("/")
    for number in range(2, len(parts)):
        yield "/".join(parts[:number])


def _passes(path: str) -> bool:
    return any(f"{path}/".startswith(f"{folder}/") for folder in PASSING)
