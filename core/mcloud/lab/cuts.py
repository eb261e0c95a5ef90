"""Cuts in the lab's network: pairs of ports between which the backbone drops every frame."""

import json
import os
from collections.abc import Iterable

from mcloud.lab.commands import execute
from mcloud.lab.layout import MachineLayout
from mcloud.lab.wires import BACKBONE, in_namespace, namespace, port

TABLE = "bridge mcloud_lab"
MAKE = f"""\
add table {TABLE}
add set {TABLE} cut {{ type ifname . ifname; }}
add chain {TABLE} forward {{ type filter hook forward priority 0; }}
flush chain {TABLE} forward
add rule {TABLE} forward iifname . oifname @cut drop
"""

Ports = tuple[str, str]


def cut(lab: str, one: MachineLayout, other: MachineLayout) -> None:
    """Drop every frame between two machines, on all networks, silently, as a broken switch does."""
    _nft(lab, f"{MAKE}add element {TABLE} cut {_listed(_between(one, other))}\n")


def mend(lab: str, one: MachineLayout, other: MachineLayout) -> None:
    """Undo `cut`; nothing happens where nothing was cut."""
    if present := _cut_ports(lab) & _between(one, other):
        _nft(lab, f"delete element {TABLE} cut {_listed(present)}\n")


def cuts(lab: str) -> set[tuple[str, str]]:
    """Return the pairs of machine names that are cut off from each other."""
    if not os.path.ismount(namespace(lab)):  # only half a lab
        return set()
    machines = [sorted(end.partition("-")[0] for end in ports) for ports in _cut_ports(lab)]
    return {(one, other) for one, other in machines}


def _between(one: MachineLayout, other: MachineLayout) -> set[Ports]:
    there = {(port(one.name, nic.network), port(other.name, nic.network)) for nic in one.nics}
    return there | {(end, start) for start, end in there}


def _cut_ports(lab: str) -> set[Ports]:
    listed = json.loads(execute(in_namespace(lab, BACKBONE, "nft", "--json", "list", "ruleset")))
    sets = [item["set"] for item in listed["nftables"] if "set" in item]
    return {
        (start, end) for found in sets for start, end in (pair["concat"] for pair in found.get("elem", []))
    }


def _listed(ports: Iterable[Ports]) -> str:
    return "{ " + ", ".join(f'"{start}" . "{end}"' for start, end in sorted(ports)) + " }"


def _nft(lab: str, script: str) -> None:
    execute(in_namespace(lab, BACKBONE, "nft", "-f", "-"), stdin=script)
