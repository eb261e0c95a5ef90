"""Write a file so that a crash at any moment leaves the old one or the new one, never half of it."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Literal


def replace_file(path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Put a file in place in one go, synced; `owner` is (uid, gid). Raises OSError.

    Mode and owner are set before the file gets its name. The temporary name is always the same, so
    that a killed run leaves one file at most, which the next write of this path clears away.
    """
    temporary = path.with_name(f".{path.name}.mcloud")
    temporary.unlink(missing_ok=True)
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(number, "wb") as file:  # noqa: PTH123 - a file number, which Path cannot open
            if owner is not None:
                os.fchown(number, *owner)
            os.fchmod(number, mode)
            file.write(content)
            file.flush()
            os.fsync(number)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file or link, synced; no error if it is not there. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
        sync_folder(path.parent)


def replace_link(path: Path, says: str) -> None:
    """Put a symbolic link in place in one go, synced, over a file or link. Raises OSError."""
    temporary = path.with_name(f".{path.name}.mcloud")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(says)
    temporary.rename(path)
    sync_folder(path.parent)


def remove_empty(path: Path) -> None:
    """Remove a folder, synced, if it is one, is there and is empty. Raises OSError."""
    try:
        path.rmdir()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY}:  # EBUSY: something is mounted there
            return
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make sure that new and removed names in a folder survive a power cut."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_folders(path: Path, *, mode: int) -> None:
    """Make a folder and those above it that are not there, all with this mode whatever the umask is."""
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(mode)
            sync_folder(folder.parent)


def kind_of(mode: int) -> Literal["file", "folder", "block", "socket", "other"]:
    """Say what a mode of stat(2) is of, as `FileStat` has it."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISBLK(mode):
        return "block"
    return "socket" if stat.S_ISSOCK(mode) else "other"
