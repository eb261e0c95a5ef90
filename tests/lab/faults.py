"""The matrix of step x fault: at one step of a forming cloud one thing breaks; it goes on, or is undone."""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from zlib import crc32

import clouds
import disks

from mcloud.lab import Lab
from mcloud.lab.forming import LOG, begin, hand_out

Running = dict[str, "Popen[str]"]

CUT_SECONDS = 8.0
"""Longer than the silence after which machines take each other for gone (5 s)."""
PATIENCE = 300.0
TRIES = 4
"""How often an operator types the command again before giving up."""
FALLEN, REFUSED = 6, 2
OUT = "the run goes on without"
"""The exit status of an initiator that formed a cloud without some, and what they are told meanwhile."""
DISK_OF = {"lxd": "sda", "ceph": "sdb"}
SOMEBODYS = "sdc"
"""A disk on the machine that is hit, with somebody's files on it, that no file for mcloud names."""
TAKES_DISKS = re.compile(r"/(local-pool|member|osd-[^/]+|osds-up)$")
"""Steps whose run or undo touches disks, as their keys end."""
NAMES_CHANGE = "names change"
DAEMONS = {
    "lxd": ("lxd",),
    "ceph": ("ceph-mon", "ceph-mgr", "ceph-osd"),
    "ovn": ("ovsdb-server", "ovs-vswitchd", "ovn-northd", "ovn-controller"),
}
UNTOUCHED = "somebody's disk byte for byte as it was"
NEW_CLOUD = "formed anew: one cluster per service, all members, quorum, clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One try: what goes wrong on which machine as it begins a step, and what is typed then."""

    machine: str
    key: str
    fault: str
    ending: str
    """resume, or undo (and form anew)"""

    def __str__(self) -> str:
        return f"{self.machine} {self.key} {self.fault} {self.ending}"

    @property
    def plugin(self) -> str:
        return self.key.split("/")[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a cell: the invariants that were looked at, and what was amiss (empty: it survived).

    Nothing looked at, and nothing amiss: the step was not needed this time, so there was nothing to break.
    """

    cell: Cell
    seconds: float
    checked: Sequence[str]
    amiss: Sequence[str]

    @property
    def word(self) -> str:
        """How it went."""
        return "BROKEN" if self.amiss else "survived" if self.checked else "not needed"


def file_of() -> str:
    """Return the file all cells form; as usual, the others go on when one machine falls out."""
    return clouds.cloud_file(3)


# ---- what there is to break ------------------------------------------------------------------------------


def steps(lab: Lab) -> Iterator[tuple[str, str]]:
    """Yield (machine, key) of every step that the founder and one joiner of a formed cloud began."""
    for name in ("n1", "n3"):
        began = [line["key"] for line in clouds.journal(lab.machine(name)) if line["event"] == "started"]
        yield from ((name, str(key)) for key in dict.fromkeys(began) if "/n2/" not in str(key))


def cells(found: Sequence[tuple[str, str]]) -> list[Cell]:
    """Return the whole matrix; of both endings each cell has one, the same every time."""
    made = []
    for machine, key in sorted(found):
        for fault in FAULTS:
            plugin = key.split("/")[1]
            if (fault == "dead disk" and plugin not in DISK_OF) or (
                fault == "killed daemon" and plugin not in DAEMONS
            ):
                continue
            if fault == NAMES_CHANGE and not (plugin in DISK_OF and TAKES_DISKS.search(key)):
                continue
            # A disk that died takes finished steps along, which no resume looks at again.
            ending = "undo" if fault == "dead disk" or crc32(f"{key} {fault}".encode()) % 2 else "resume"
            made.append(Cell(machine=machine, key=key, fault=fault, ending=ending))
    return made


# ---- faults ----------------------------------------------------------------------------------------------


def _kill_initiator(lab: Lab, _cell: Cell, running: Running) -> None:
    _kill(running["n1"])


def _kill_joiner(lab: Lab, cell: Cell, running: Running) -> None:
    _kill(running[cell.machine if cell.machine != "n1" else "n2"])


def _cut_power(lab: Lab, cell: Cell, running: Running) -> None:
    lab.kill(cell.machine)
    running[cell.machine].wait()
    lab.boot(cell.machine)


def _cut_network(lab: Lab, cell: Cell, running: Running) -> None:
    other = "n1" if cell.machine != "n1" else "n2"
    lab.cut(cell.machine, other)
    time.sleep(CUT_SECONDS)  # the fault itself: it has to last
    lab.mend(cell.machine, other)


def _kill_daemons(lab: Lab, cell: Cell, running: Running) -> None:
    names = " ".join(DAEMONS[cell.plugin])
    # Seen from inside: the machine's own processes and no others.
    lab.machine(cell.machine).run(["sh", "-c", f"kill -KILL $(pidof {names})"], check=False)


def _kill_disk(lab: Lab, cell: Cell, running: Running) -> None:
    lab.fail_disk(cell.machine, DISK_OF[cell.plugin])


def _change_names(lab: Lab, cell: Cell, running: Running) -> None:
    """Cut the power, and boot with the step's disk and somebody's under each other's names."""
    lab.kill(cell.machine)
    running[cell.machine].wait()
    lab.boot(cell.machine, swap_disks=(DISK_OF[cell.plugin], SOMEBODYS))


FAULTS: dict[str, Callable[[Lab, Cell, Running], None]] = {
    "killed initiator": _kill_initiator,
    "killed joiner": _kill_joiner,
    "power cut": _cut_power,
    "network cut": _cut_network,
    "killed daemon": _kill_daemons,
    "dead disk": _kill_disk,
    NAMES_CHANGE: _change_names,
}


def _kill(process: "Popen[str]") -> None:
    process.kill()
    process.wait()


# ---- one cell --------------------------------------------------------------------------------------------


def try_out(lab: Lab, cell: Cell) -> Outcome:
    """Form a cloud in a fresh lab, break what the cell says, end it as the cell says, and look."""
    began = time.monotonic()
    lab.down()
    lab.up(machines=3, disks=["10G", "10G", "10G"])
    try:
        disks.give_to_somebody(lab.machine(cell.machine), SOMEBODYS)
        before = disks.contents(lab, cell.machine)[SOMEBODYS]
        hand_out(lab, file_of())
        running = {name: begin(lab.machine(name)) for name in lab.names()}
        amiss = wait_for_start(lab, cell.machine, cell.key, running[cell.machine])
        if amiss and not any(process.wait(PATIENCE) for process in running.values()):
            return Outcome(cell=cell, seconds=time.monotonic() - began, checked=(), amiss=())
        if not amiss:
            FAULTS[cell.fault](lab, cell, running)
        checked, found = _endings[cell.ending](lab, cell, running)
        if disks.contents(lab, cell.machine)[SOMEBODYS] != before:
            amiss.append("somebody's disk, which no file names, was written to")
        return Outcome(
            cell=cell,
            seconds=time.monotonic() - began,
            checked=[*checked, UNTOUCHED],
            amiss=[*amiss, *found],
        )
    finally:
        lab.down()


def wait_for_start(lab: Lab, machine: str, key: str, process: "Popen[str]") -> list[str]:
    """Wait until a step begins; journals are read from outside, many times a second."""
    runs = Path(f"/proc/{lab.machine(machine).pid}/root/var/lib/mcloud/runs")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for path in runs.glob("*.jsonl") if runs.exists() else ():
            text = path.read_text()
            for line in map(json.loads, text[: text.rfind("\n") + 1].splitlines()):
                if line["event"] == "started" and line["key"] == key:
                    return []
        if process.poll() is not None:
            break
        time.sleep(0.005)
    return [f"the step never began: {clouds.logs(lab)}"]


def _resume(lab: Lab, _cell: Cell, running: Running) -> tuple[Sequence[str], Sequence[str]]:
    """Type the same command again wherever it ended, until all are content."""
    checked = ["one cluster per service, all members, quorum, clean", "no step done twice"]
    if stuck := typed_again(lab, running):
        return checked, stuck
    return checked, [
        *_settled(lab),
        *(f"{name} did {key} twice" for name in lab.names() for key in clouds.done_twice(lab.machine(name))),
    ]


def _undo(lab: Lab, cell: Cell, running: Running) -> tuple[Sequence[str], Sequence[str]]:
    """Stop all, take everything back on each machine, and form the cloud anew."""
    checked = ["nothing left of a cluster on any machine", NEW_CLOUD]
    for process in running.values():
        _kill(process)
    found: list[str] = []
    for name in lab.names():
        said = lab.machine(name).run(["mcloud", "undo", "--yes"], check=False, timeout=PATIENCE)
        if said.returncode and "no run to undo" not in said.stderr:
            found.append(f"undo on {name} ended with {said.returncode}:\n{said.stdout}{said.stderr}")
    if cell.fault == "dead disk":
        lab.renew_disk(cell.machine, DISK_OF[cell.plugin])
    found += [f"{name}: {left}" for name in lab.names() for left in clouds.of_a_cluster(lab.machine(name))]
    if found:
        return checked, found
    if cell.fault == NAMES_CHANGE:
        # The file has names, and says of what is called so that it may be wiped.
        lab.kill(cell.machine)
        lab.boot(cell.machine, swap_disks=(DISK_OF[cell.plugin], SOMEBODYS))
    statuses = clouds.form(lab, file_of())
    if any(statuses.values()):
        return checked, [f"formed anew: {statuses}\n{clouds.logs(lab)}"]
    return checked, _settled(lab)


_endings = {"resume": _resume, "undo": _undo}


def typed_again(lab: Lab, running: Running) -> list[str]:
    """Type the command again wherever it ends badly, until all are content; return why they are not."""
    deadline = time.monotonic() + PATIENCE
    tries = dict.fromkeys(running, 0)
    while not all(_is_content(lab, name, process.poll()) for name, process in running.items()):
        for name in _who_types_again(lab, running):
            tries[name] += 1
            if tries[name] > TRIES:
                return [f"{name} ends with {running[name].returncode} again and again\n{clouds.logs(lab)}"]
            running[name] = begin(lab.machine(name))
        if time.monotonic() > deadline:
            return [f"still at work after {PATIENCE:.0f} s\n{clouds.logs(lab)}"]
        time.sleep(0.1)
    return []


def _who_types_again(lab: Lab, running: Running) -> list[str]:
    """Return where the command ended badly; all of them where a cloud was formed without a machine.

    Whose joiner fell out of a run that still goes on is told so, and waits for its end.
    """
    ended = {name: process.returncode for name, process in running.items() if process.poll() is not None}
    if ended.get("n1") == FALLEN and "IS NOT IN CLOUD" in _last_words(lab, "n1"):
        return list(ended)
    badly = [name for name, status in ended.items() if not _is_content(lab, name, status)]
    return [name for name in badly if "n1" in ended or OUT not in _last_words(lab, name)]


def _is_content(lab: Lab, name: str, status: int | None) -> bool:
    """Whether a command ended well, or was killed with its last word and says so when it is typed again."""
    return status == 0 or (status == REFUSED and "is in cloud lab already" in _last_words(lab, name))


def _last_words(lab: Lab, name: str) -> str:
    return clouds.asked(lab.machine(name), "tail", "-n30", LOG)


def _settled(lab: Lab) -> Sequence[str]:
    """Return what is amiss once daemons that were killed had the time to come back."""
    deadline = time.monotonic() + 60
    while amiss := clouds.amiss(lab, monitors=3):
        if time.monotonic() > deadline:
            return amiss
        time.sleep(0.5)
    return []
