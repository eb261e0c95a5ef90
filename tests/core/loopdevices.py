"""Block devices of one's own for tests: loop devices on sparse files, taken away afterwards."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_loop_devices = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists() or shutil.which("losetup") is None,
    reason="needs root and loop devices",
)


@contextmanager
def loop_device(folder, size="2G", name="disk"):
    """Give the path of a new, empty device."""
    file = folder / f"{name}.img"
    subprocess.run(["/usr/bin/truncate", "--size", size, file], check=True)
    made = subprocess.run(
        ["/usr/sbin/losetup", "--find", "--show", file], check=True, capture_output=True, text=True
    )
    device = made.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["/usr/sbin/losetup", "--detach", device], check=True)
        file.unlink()
