"""The lab's networks: a backbone namespace with one bridge per network, machines plugged into it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from mcloud.lab.commands import execute, succeeds
from mcloud.lab.layout import STATE, UPLINK, UPLINK_GATEWAYS, Layout, MachineLayout

BACKBONE = "backbone"


def namespace(lab: str, machine: str = BACKBONE) -> Path:
    """Return the file that holds a network namespace open (ours, not in the list of `ip netns`)."""
    return STATE / lab / "net" / machine


def in_namespace(lab: str, machine: str, *argv: str) -> list[str]:
    """Return the command that runs one of this machine's tools in a network namespace of the lab."""
    return ["nsenter", f"--net={namespace(lab, machine)}", "--", *argv]


def port(machine: str, nic: str) -> str:
    """Return the backbone's end of the wire to a machine's interface."""
    return f"{machine}-{nic}"


def lay_backbone(layout: Layout) -> None:
    """Make the backbone: a bridge per network, and on the uplink the gateway that a router would be."""
    _make_namespace(namespace(layout.name))
    bridges = [_bridge(nic.network) for nic in layout.machines[0].nics]
    lines = ["link set lo up"]
    for bridge in bridges:
        lines += [f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up"]
    lines += [f"addr add {address} dev {_bridge(UPLINK)} nodad" for address in UPLINK_GATEWAYS]
    _ip(layout.name, BACKBONE, lines)
    for bridge in bridges:
        _complete_checksums(layout.name, BACKBONE, bridge)


def plug(lab: str, machine: MachineLayout) -> None:
    """Give a machine its network namespace, interfaces and addresses; what an earlier boot left goes away."""
    unplug(lab, machine)
    own = namespace(lab, machine.name)
    _make_namespace(own)
    outside: list[str] = []
    inside = ["link set lo up"]
    for nic in machine.nics:
        end = port(machine.name, nic.network)
        outside.append(f"link add {end} type veth peer name {nic.name} address {nic.mac} netns {own}")
        outside.append(f"link set {end} master {_bridge(nic.network)} up")
        inside.append(f"link set {nic.name} up")
        inside += [f"addr add {address} dev {nic.name} nodad" for address in nic.addresses]
    _ip(lab, BACKBONE, outside)
    _ip(lab, machine.name, inside)
    for nic in machine.nics:
        _complete_checksums(lab, machine.name, nic.name)
        _complete_checksums(lab, BACKBONE, port(machine.name, nic.network))


def unplug(lab: str, machine: MachineLayout) -> None:
    """Take a machine off the backbone and drop its namespace, as a machine without power has none."""
    if os.path.ismount(namespace(lab)):
        for nic in machine.nics:
            # By name, at once: the kernel takes a namespace apart some time after its last process.
            succeeds(in_namespace(lab, BACKBONE, "ip", "link", "del", port(machine.name, nic.network)))
    _drop_namespace(namespace(lab, machine.name))


def tear_backbone(lab: str) -> None:
    """Take down the bridges and every port on them, then the namespaces."""
    if os.path.ismount(namespace(lab)):
        listed = json.loads(execute(in_namespace(lab, BACKBONE, "ip", "-json", "link", "show")))
        for link in listed:
            if link["ifname"] != "lo":
                succeeds(in_namespace(lab, BACKBONE, "ip", "link", "del", link["ifname"]))
    for held in namespace(lab).parent.glob("*"):
        _drop_namespace(held)


def _ip(lab: str, machine: str, lines: Iterable[str]) -> None:
    execute(in_namespace(lab, machine, "ip", "-batch", "-"), stdin="\n".join(lines) + "\n")


def _complete_checksums(lab: str, machine: str, interface: str) -> None:
    # A wire carries complete checksums and frames of its MTU. Between kernels veth leaves both undone,
    # and Open vSwitch's userspace datapath, which reads raw frames, forwards them broken.
    features = [word for feature in ("tx", "tso", "gso", "gro") for word in (feature, "off")]
    execute(in_namespace(lab, machine, "ethtool", "-K", interface, *features))


def _make_namespace(held: Path) -> None:
    held.parent.mkdir(parents=True, exist_ok=True)
    held.touch()
    execute(["unshare", f"--net={held}", "--", "true"])


def _drop_namespace(held: Path) -> None:
    if held.exists():
        succeeds(["umount", str(held)])
        held.unlink()


def _bridge(nic: str) -> str:
    return f"br-{nic}"
