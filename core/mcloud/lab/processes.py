"""Find and end a lab's processes, by what only they have: their cgroup and their network namespace."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mcloud.errors import ServiceError
from mcloud.lab.wires import namespace

CGROUPS = Path("/sys/fs/cgroup")
PARENT = "mcloud-lab"


def enter_cgroups(lab: str, machine: str) -> list[Path]:
    """Make a machine's own cgroup in every hierarchy; return the files a process writes itself into."""
    doors = []
    for hierarchy in _hierarchies():
        folder = hierarchy
        for part in (PARENT, lab, machine):
            inherited = {name: _read(folder / name) for name in ("cpuset.cpus", "cpuset.mems")}
            _pass_down(folder)
            folder /= part
            folder.mkdir(exist_ok=True)
            if (hierarchy / "tasks").exists():  # version 1: a new cpuset is empty and takes nobody
                for name, value in inherited.items():
                    if value and (folder / name).exists():
                        (folder / name).write_text(value)
        doors.append(folder / "cgroup.procs")
    return doors


def leave_cgroups(lab: str, machine: str | None = None) -> None:
    """Remove a machine's cgroups, or all of the lab's; those with processes in them stay."""
    for hierarchy in _hierarchies():
        top = hierarchy / PARENT / lab / (machine or "")
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        for folder in (hierarchy / PARENT / lab, hierarchy / PARENT):
            with suppress(OSError):
                folder.rmdir()


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
    number = held.stat().st_ino if os.path.ismount(held) else None
    return [
        pid
        for pid in _pids()
        if _in_cgroup(pid, f"/{PARENT}/{lab}/{machine}") or _network(pid) == number is not None
    ]


def of_lab(lab: str) -> list[int]:
    """Return the pids of all machines of a lab, whatever is left of it."""
    held = namespace(lab).parent
    numbers = {file.stat().st_ino for file in held.glob("*") if os.path.ismount(file)}
    return [pid for pid in _pids() if _in_cgroup(pid, f"/{PARENT}/{lab}") or _network(pid) in numbers]


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
            if pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _pids() -> Iterable[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _network(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:  # gone, or a zombie
        return -1


def _in_cgroup(pid: int, path: str) -> bool:
    if not os.path.exists(f"/proc/{pid}/exe"):  # a kernel thread or a zombie
        return False
    places = (line.split(":", 2)[2] for line in _read(Path(f"/proc/{pid}/cgroup")).splitlines())
    return any(place == path or place.startswith(f"{path}/") for place in places)


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


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(str(pid) for pid in pids)
