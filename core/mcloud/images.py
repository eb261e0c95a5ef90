"""Files of others, seen whole and put back as they were; see `Host.image` and `Host.put_back`."""

import os
import stat
from pathlib import Path

from mcloud.errors import ServiceError
from mcloud.files import make_folders, remove_file, replace_file, replace_link
from mcloud.host import FileImage
from mcloud.rooted import inside

PIECE = 64 * 1024
LARGEST_FILE = 8 * 1024 * 1024
"""Bytes; no file that a step has to know is larger."""


def image_of(root: str, path: str) -> FileImage:
    """Return what is at a path of the machine with this root folder. Raises ServiceError."""
    try:
        own, target = inside(root, path, follow_last=False), inside(root, path)
        link = _says(own)
        missing = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        seen = FileImage(
            link=link,
            target=_named(root, target),
            missing=tuple(_named(root, folder) for folder in reversed(missing)),
        )
        return seen if not os.path.lexists(target) else _with_content(seen, target)
    except OSError as error:
        raise ServiceError(f"cannot read {path}: {error.strerror}") from error


def put_image(root: str, path: str, image: FileImage) -> None:
    """Make a path of the machine with this root folder what it was. Raises OSError or ServiceError."""
    own = inside(root, path, follow_last=False)
    leads = _named(root, own if image.link is None else _behind(root, own, image.link))
    if leads != image.target:
        raise ServiceError(
            f"{path} cannot be put back: it led to {image.target}, and would lead to {leads} now",
            hint="put the links on its way back as they were",
        )
    target = inside(root, image.target, follow_last=False)
    refuse_no_file(own, path)
    refuse_no_file(target, image.target)
    if image.link is not None and _says(own) != image.link:
        make_folders(own.parent, mode=0o755)
        replace_link(own, image.link)
    if image.content is None:
        remove_file(target)
        return
    user, _, group = image.owner.partition(":")
    make_folders(target.parent, mode=0o755)
    replace_file(target, image.content, mode=image.mode, owner=(int(user), int(group)))


def refuse_no_file(target: Path, path: str) -> None:
    """Raise ServiceError if a folder, device or socket is at a place where a file shall be."""
    if os.path.lexists(target) and not target.is_symlink() and not target.is_file():
        raise ServiceError(
            f"{path} is no file: it is not replaced", hint="somebody made something else there: look at it"
        )


def read_whole(path: Path) -> tuple[bytes, os.stat_result]:
    """Return a file's content, one byte more than `LARGEST_FILE` at most, and what it was like then.

    In pieces: the kernel makes a buffer as large as what is asked for at once when a setting under
    /proc/sys is read. Raises OSError.
    """
    pieces, left = list[bytes](), LARGEST_FILE + 1
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), os.fstat(file.fileno())


def _with_content(seen: FileImage, target: Path) -> FileImage:
    # Before it is opened: that alone does something to a device, and waits at a pipe.
    if not target.is_file():
        raise ServiceError(f"{seen.target} is no file: it is not replaced", hint="look at what it is")
    content, found = read_whole(target)
    if len(content) > LARGEST_FILE:
        raise ServiceError(f"cannot read {seen.target}: it is larger than {LARGEST_FILE} bytes")
    return FileImage(
        content=content,
        mode=stat.S_IMODE(found.st_mode),
        owner=f"{found.st_uid}:{found.st_gid}",
        link=seen.link,
        target=seen.target,
        missing=seen.missing,
    )


def _says(path: Path) -> str | None:
    """Return a symbolic link's text, letter by letter; None for what is no link."""
    return os.readlink(path) if path.is_symlink() else None  # noqa: PTH115 - a Path would tidy it up


def _behind(root: str, own: Path, says: str) -> Path:
    """Return where a link with this text would lead from there."""
    return inside(root, says if says.startswith("/") else f"{_named(root, own.parent)}/{says}")


def _named(root: str, path: Path) -> str:
    """Return a path as that machine itself names it."""
    return "/" + str(path.relative_to(root)) if path != Path(root) else "/"
