"""Paths of a machine whose root is a folder of this one, with its absolute links kept inside."""

import os
from pathlib import Path

_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


def inside(root: str, path: str, *, follow_last: bool = True) -> Path:
    """Return where an absolute path of that machine is, seen from here; raises OSError for a loop.

    With root `/` it is the path itself with its links followed.
    """
    done: list[str] = []
    todo = _parts(path)
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            del done[-1:]
            continue
        here = os.path.join(root, *done, part)  # noqa: PTH118 - pathlib would drop what is before an absolute part
        if (todo or follow_last) and os.path.islink(here):  # noqa: PTH114
            links += 1
            if links > _LINKS:
                raise OSError(40, f"Too many levels of symbolic links: {path}")
            target = os.readlink(here)  # noqa: PTH115
            if target.startswith("/"):
                done.clear()
            todo.extend(_parts(target))
        else:
            done.append(part)
    return Path(root, *done)


def _parts(path: str) -> list[str]:
    """Split a path, last part first: the order in which a stack gives them back."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]
