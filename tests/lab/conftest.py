"""Labs for tests: each has a name of its own, and goes away whatever happens."""

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest

from mcloud.lab import Lab
from mcloud.lab.layout import IMAGES, STATE

OWN_STATE = Path("/var/lib/mcloud")
MADE_BY_TESTS = OWN_STATE / "made-by-tests"


@pytest.fixture(scope="session", autouse=True)
def used_machine():
    """Let all these tests run on a machine that mcloud itself was used on, whether or not it was.

    What is planted means nothing to mcloud. Several test runs may be at it side by side.
    """
    try:
        OWN_STATE.mkdir(mode=0o700)
        MADE_BY_TESTS.touch()
    except FileExistsError:
        pass
    planted = OWN_STATE / f"planted-by-test-{os.getpid()}"
    planted.touch()
    yield
    planted.unlink()
    if list(OWN_STATE.iterdir()) == [MADE_BY_TESTS]:
        MADE_BY_TESTS.unlink(missing_ok=True)
        OWN_STATE.rmdir()


@pytest.fixture(scope="module")
def make_lab():
    """Return a function that brings up a lab (its arguments: `Lab.up`); it goes down with the module."""
    if os.geteuid() != 0:
        pytest.fail("the lab needs root")
    _clear_up_after_the_dead()
    labs: list[Lab] = []
    numbers = itertools.count(1)

    def make(*, up: bool = True, **options) -> Lab:
        lab = Lab(f"t{os.getpid()}-{next(numbers)}")
        labs.append(lab)
        lab.down()
        if up:
            lab.up(**options)
        return lab

    yield make
    for lab in labs:
        lab.down()


def _clear_up_after_the_dead() -> None:
    """Take down the labs of test runs that were killed: their names hold the pid."""
    for lab in Lab.existing():
        named = re.fullmatch(r"t(\d+)-\d+", lab.name)
        if named and not Path("/proc", named[1]).exists():
            lab.down()


@pytest.fixture(scope="session")
def traces():
    """Return a function from a lab's name to what is there of it, found without asking the lab."""
    return find_traces


@pytest.fixture(scope="session")
def interfaces():
    """Return a function that tells the host's network interfaces."""
    return lambda: {path.name for path in Path("/sys/class/net").iterdir()}


@pytest.fixture(scope="session")
def network_namespaces():
    """Return a function that tells the network namespaces with processes, and a command line of each."""
    return find_network_namespaces


def find_traces(name: str) -> list[str]:
    """Return every mount, loop device, process, cgroup and file that has to do with a lab."""
    state, images = STATE / name, IMAGES / name
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    loops = subprocess.run(
        ["/usr/sbin/losetup", "-a"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [
        *(mount for mount in mounts if Path(mount).is_relative_to(state)),
        *(line for line in loops if f"{images}/" in line),
        *(
            entry.name
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and _belongs(entry, name)
        ),
        *(str(path) for path in Path("/sys/fs/cgroup").glob(f"*/mcloud-lab/{name}")),
        *(str(path) for path in Path("/sys/fs/cgroup").glob(f"mcloud-lab/{name}")),
        *(str(path) for path in [state, state.with_name(f"{name}.lock"), images] if path.exists()),
    ]


def find_network_namespaces() -> dict[int, str]:
    """Return the network namespaces that processes are in, with the command line of one of each."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            found[(entry / "ns/net").stat().st_ino] = (entry / "cmdline").read_text()
        except OSError:
            continue
    return found


def _belongs(process: Path, name: str) -> bool:
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False  # over, and waiting for init to take note
        return f"/mcloud-lab/{name}/" in (process / "cmdline").read_text() + (process / "cgroup").read_text()
    except OSError:
        return False
