"""Find and end a lab's processes, by what only they have: their cgroup and their network namespace."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mcloud.errors import ServiceError
from mcloud.lab.wires import namespace

CGROUPS = Path("/sys/fs/cgroup")
PARENT = "mcloud-lab"
RACES = 5
"""How often a cgroup that another lab removes meanwhile is made again."""


def enter_cgroups(lab: str, machine: str) -> list[Path]:
    """Make a machine's own cgroup in every hierarchy; return the files a process writes itself into."""
    return [_make_cgroup(hierarchy, (PARENT, lab, machine)) / "cgroup.procs" for hierarchy in _hierarchies()]


def leave_cgroups(lab: str, machine: str = "") -> bool:
    """Remove a machine's cgroups, or all of the lab's; tell whether none is left."""
    tops = [hierarchy / PARENT / lab / machine for hierarchy in _hierarchies()]
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # somebody is still in it
                Path(folder).rmdir()
        for parent in top.parents[: 1 if not machine else 2]:
            with suppress(OSError):  # of other machines, other labs
                parent.rmdir()
    return not any(top.exists() for top in tops)


def init_of(lab: str, machine: str) -> int | None:
    """Return the host's pid of a machine's init; None while it has none."""
    for pid in of_machine(lab, machine):
        status = _read(Path(f"/proc/{pid}/status"))
        numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if len(numbers) == 2 and numbers[1] == "1":  # noqa: PLR2004 - pid out here, pid inside
            return pid
    return None


def of_machine(lab: str, machine: str) -> list[int]:
    """Return the pids of a machine: its container's, and those of commands that went in from outside."""
    held = namespace(lab, machine)
    return _those(f"/{PARENT}/{lab}/{machine}", [held])


def of_lab(lab: str) -> list[int]:
    """Return the pids of all machines of a lab, whatever is left of it."""
    return _those(f"/{PARENT}/{lab}", list(namespace(lab).parent.glob("*")))


def end(lab: str, machine: str | None = None, *, patience: float = 20) -> None:
    """Kill everything of a machine (or of the lab) at once and wait until it is gone."""
    deadline = time.monotonic() + patience
    while pids := of_lab(lab) if machine is None else of_machine(lab, machine):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"processes {_listed(pids)} do not die",
                hint="the kernel holds them: see `ps -o pid,wchan,args`",
            )
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _those(cgroup: str, namespaces: Sequence[Path]) -> list[int]:
    """Return the pids of those in a cgroup or below, or in one of some network namespaces."""
    numbers = {held.stat().st_ino for held in namespaces if os.path.ismount(held)}
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [
        pid
        for pid in pids
        if pid != os.getpid()
        and not _is_zombie(pid)
        and (_network(pid) in numbers or _in_cgroup(pid, cgroup))
    ]


def _network(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:  # it has just ended
        return -1


def _is_zombie(pid: int) -> bool:
    # After the name, which may hold anything but ends with the last bracket: the state.
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2][1:2] in {"Z", "X", ""}


def _in_cgroup(pid: int, path: str) -> bool:
    places = (line.split(":", 2)[2] for line in _read(Path(f"/proc/{pid}/cgroup")).splitlines())
    return any(place == path or place.startswith(f"{path}/") for place in places)


def _make_cgroup(folder: Path, below: Sequence[str]) -> Path:
    if not below:
        return folder
    made = folder / below[0]
    for _ in range(RACES):
        with suppress(FileNotFoundError):  # the last machine of another lab has just left
            _pass_down(folder)
            made.mkdir(exist_ok=True, parents=True)
            _inherit(made)
            return _make_cgroup(made, below[1:])
    raise ServiceError(f"cannot make {made}", hint="is another lab command at work all the time?")


def _inherit(folder: Path) -> None:
    # Version 1 of cgroups: a new cpuset is empty, and takes nobody. In version 2 it need not be set.
    for name in ("cpuset.cpus", "cpuset.mems") if (folder / "tasks").exists() else ():
        if (folder / name).exists() and not _read(folder / name).strip():
            (folder / name).write_text(_read(folder.parent / name))


def _hierarchies() -> list[Path]:
    mounts = [line.split() for line in _read(Path("/proc/self/mounts")).splitlines()]
    return [
        Path(place)
        for _, place, kind, *_ in mounts
        if kind in {"cgroup", "cgroup2"} and place.startswith(str(CGROUPS))
    ]


def _pass_down(folder: Path) -> None:
    controllers = _read(folder / "cgroup.controllers").split()
    for controller in controllers:
        with suppress(OSError):  # one that cannot be handed on is missing inside, as in any container
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _listed(pids: Sequence[int]) -> str:
    return ", ".join(str(pid) for pid in pids)
