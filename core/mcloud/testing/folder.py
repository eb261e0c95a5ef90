"""Folders in memory: journals are synced at every line, and a test has nothing to lose."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder of a random name is made in it


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Give a fresh folder, in memory where that is possible; it is gone afterwards."""
    there = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="mcloud-", dir=there) as folder:
        yield Path(folder)
