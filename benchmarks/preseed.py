"""Form the cloud by `mcloud preseed` on all machines at once; its journals say what took how long."""

import io
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_interface
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from typing import Any

from parts import Formed, Part, spans
from ruamel.yaml import YAML

from mcloud.errors import ServiceError
from mcloud.lab import Lab, Machine
from mcloud.lab.forming import FILE, hand_out

EXAMPLE = Path(__file__).parents[1] / "examples" / "lab.yaml"
PATIENCE = 600
"""Seconds; it takes half a minute on two processors."""
LAST_WORDS = 10
"""Seconds for the others to say what they have to, once mcloud failed on one machine."""
ENDS = frozenset({"done", "adopted", "failed"})


@dataclass(slots=True)
class Screen:
    """What mcloud said on one machine, and when; with --json, one object a line."""

    process: "Popen[str]"
    lines: list[tuple[float, str]] = field(default_factory=list)
    ended: float = 0.0

    def read(self) -> None:
        """Read to the end."""
        for line in self.process.stdout or ():
            self.lines.append((time.time(), line.strip()))
        self.process.wait()
        self.ended = time.time()

    @property
    def failed(self) -> bool:
        """Whether it ended, and not well."""
        return self.process.poll() not in {None, 0}

    def objects(self) -> Iterable[Mapping[str, Any]]:
        """Yield the lines that are objects; others are a word of Python itself."""
        for _, line in self.lines:
            if line.startswith("{"):
                yield json.loads(line)


def form(lab: Lab) -> Formed:
    """Type the command on every machine. ServiceError with the last words of all if one fails."""
    machines = [lab.machine(name) for name in lab.names()]
    hand_out(lab, cloud_file(lab))
    began = time.time()
    screens = {machine.name: Screen(_begin(machine)) for machine in machines}
    readers = [threading.Thread(target=screen.read, daemon=True) for screen in screens.values()]
    for reader in readers:
        reader.start()
    deadline = began + PATIENCE
    while any(reader.is_alive() for reader in readers) and time.time() < deadline:
        time.sleep(0.05)
        if any(screen.failed for screen in screens.values()):
            deadline = min(deadline, time.time() + LAST_WORDS)
    if any(screen.failed or not screen.ended for screen in screens.values()):
        raise ServiceError("mcloud failed", hint="\n".join(_last_words(screens)))
    ended = max(screen.ended for screen in screens.values())
    parts = [
        part for machine in machines for part in steps(_journal(machine), screens[machine.name].objects())
    ]
    listens = screens[machines[0].name].lines[0][0]
    return Formed(began=began, ended=ended, parts=parts, own=own_share(parts, began, listens, ended))


def cloud_file(lab: Lab) -> str:
    """Return the example's file for this lab's machines, held to what the plain script makes."""
    yaml = YAML()
    file = yaml.load(EXAMPLE.read_text())
    file["lxd"], file["ceph"] = {"local": "btrfs"}, {"cephfs": False}
    file["machines"] = {name: _machine(lab.machine(name)) for name in lab.names()}
    written = io.StringIO()
    yaml.dump(file, written)
    return written.getvalue()


def steps(journal: Sequence[Mapping[str, Any]], said: Iterable[Mapping[str, Any]]) -> list[Part]:
    """Return the steps of services on one machine.

    The journal knows when each ended, the screen how long it took with the look before it; `core`'s own
    steps wait for others and run no service's command.
    """
    took = {
        "/".join(line[name] for name in ("hook", "plugin", "machine", "about", "step")): line["seconds"]
        for line in said
        if line["type"] == "step" and line["what"] in ENDS
    }
    found = []
    for line in journal:
        if line["event"] in ENDS and line["key"] in took:
            hook, plugin, machine, about, step = line["key"].split("/")
            ended = datetime.fromisoformat(line["at"]).timestamp()
            what = f"{hook} {step}" + (f" for {about}" if about != machine else "")
            if plugin != "core":
                began = ended - took[line["key"]]
                found.append(Part(service=plugin, machine=machine, what=what, began=began, ended=ended))
    return found


def own_share(parts: Sequence[Part], began: float, listens: float, ended: float) -> Mapping[str, float]:
    """Return the seconds in which no step of a service was in hand on any machine, by when that was."""
    covered = spans(parts)
    return {
        "start (interpreter, plugins, file, survey)": listens - began,
        "meet (trust, surveys, plans)": covered[0][0] - listens,
        "between steps": sum(after[0] - before[1] for before, after in pairwise(covered)),
        "end (record, farewell, exit)": ended - covered[-1][1],
    }


def _begin(machine: Machine) -> "Popen[str]":
    return machine.popen(
        ["mcloud", "preseed", "--json", FILE], stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True
    )


def _machine(machine: Machine) -> dict[str, Any]:
    underlay = next(nic for nic in machine.layout.nics if nic.name == "eth2")
    address = str(ip_interface(underlay.addresses[0]).ip)
    return {"address": machine.address, "ovn": {"underlay_ip": address}}


def _journal(machine: Machine) -> Sequence[Mapping[str, Any]]:
    text = machine.run(["sh", "-c", "cat /var/lib/mcloud/runs/*.jsonl"]).stdout
    return [json.loads(line) for line in text.splitlines()]


def _last_words(screens: Mapping[str, Screen]) -> Iterable[str]:
    for name, screen in screens.items():
        yield f"{name}: exit status {screen.process.poll()}"
        yield from (f"  {line[:500]}" for _, line in screen.lines[-5:])
