"""The lab's networks: a backbone namespace with one bridge per network, machines plugged into it."""

import json
from collections.abc import Iterable
from pathlib import Path

from mcloud.lab.commands import execute, succeeds
from mcloud.lab.layout import STATE, UPLINK, UPLINK_GATEWAYS, Layout, MachineLayout

BACKBONE = "backbone"
CUTS = "mcloud_lab_cuts"


def namespace(lab: str, machine: str = BACKBONE) -> Path:
    """Return the file that holds a network namespace open (our own, so that the host's list stays as it is)."""
    return STATE / lab / "net" / machine


def lay_backbone(layout: Layout) -> None:
    """Make the backbone: a bridge per network, and on the uplink the gateway that a router would be."""
    _make_namespace(namespace(layout.name))
    lines: list[str] = ["link set lo up"]
    for nic in layout.machines[0].nics:
        lines += [
            f"link add {_bridge(nic.name)} type bridge mcast_snooping 0",
            f"link set {_bridge(nic.name)} up",
        ]
    lines += [f"addr add {address} dev {_bridge(UPLINK)} nodad" for address in UPLINK_GATEWAYS]
    _ip(layout.name, BACKBONE, lines)
    for nic in layout.machines[0].nics:
        _without_offloads(layout.name, BACKBONE, _bridge(nic.name))


def plug(lab: str, machine: MachineLayout) -> None:
    """Give a machine its network namespace, interfaces and addresses; what an earlier boot left goes away."""
    unplug(lab, machine)
    own = namespace(lab, machine.name)
    _make_namespace(own)
    _ip(
        lab,
        BACKBONE,
        (
            f"link add {_port(machine.name, nic.name)} type veth peer name {nic.name} address {nic.mac} netns {own}"
            for nic in machine.nics
        ),
    )
    _ip(
        lab,
        BACKBONE,
        (f"link set {_port(machine.name, nic.name)} master {_bridge(nic.name)} up" for nic in machine.nics),
    )
    lines = ["link set lo up"]
    for nic in machine.nics:
        lines.append(f"link set {nic.name} up")
        lines += [f"addr add {address} dev {nic.name} nodad" for address in nic.addresses]
    _ip(lab, machine.name, lines)
    for nic in machine.nics:
        _without_offloads(lab, machine.name, nic.name)
        _without_offloads(lab, BACKBONE, _port(machine.name, nic.name))


def unplug(lab: str, machine: MachineLayout) -> None:
    """Take a machine off the backbone and drop its namespace, as a machine without power has none."""
    if namespace(lab).exists():
        for nic in machine.nics:
            # By name, at once: the kernel takes a namespace apart some time after its last process.
            succeeds(_inside(lab, BACKBONE, "ip", "link", "del", _port(machine.name, nic.name)))
    _drop_namespace(namespace(lab, machine.name))


def tear_backbone(lab: str) -> None:
    """Take down the bridges and every port on them, then the namespaces."""
    if namespace(lab).exists():
        listed = json.loads(execute(_inside(lab, BACKBONE, "ip", "-json", "link", "show")))
        for link in listed:
            if link["ifname"] != "lo":
                succeeds(_inside(lab, BACKBONE, "ip", "link", "del", link["ifname"]))
    for held in namespace(lab).parent.glob("*"):
        _drop_namespace(held)


def cut(lab: str, one: MachineLayout, other: MachineLayout) -> None:
    """Drop every frame between two machines, on all networks, silently, as a broken switch does."""
    rules = [
        f"add rule bridge {CUTS} forward iifname {_port(a.name, nic.name)} oifname {_port(b.name, nic.name)} drop"
        for a, b in ((one, other), (other, one))
        for nic in one.nics
    ]
    mend(lab, one, other)
    _nft(lab, [f"add table bridge {CUTS}", _CHAIN, *rules])


def mend(lab: str, one: MachineLayout, other: MachineLayout) -> None:
    """Undo `cut`; nothing happens where nothing was cut."""
    listed = execute(_inside(lab, BACKBONE, "nft", "--json", "--handle", "list", "ruleset"))
    pairs = {
        (_port(a.name, nic.name), _port(b.name, nic.name))
        for a, b in ((one, other), (other, one))
        for nic in one.nics
    }
    handles = [rule["handle"] for rule in _rules(listed) if _ends(rule) in pairs]
    if handles:
        _nft(lab, [f"delete rule bridge {CUTS} forward handle {handle}" for handle in handles])


def cuts(lab: str) -> set[tuple[str, str]]:
    """Return the pairs of machine names that are cut off from each other."""
    listed = execute(_inside(lab, BACKBONE, "nft", "--json", "list", "ruleset"))
    ends = {tuple(sorted(port.partition("-")[0] for port in _ends(rule))) for rule in _rules(listed)}
    return {(a, b) for a, b in ends}


_CHAIN = f"add chain bridge {CUTS} forward {{ type filter hook forward priority 0; }}"


def _rules(listed: str) -> list[dict[str, object]]:
    found = (item.get("rule") for item in json.loads(listed)["nftables"])
    return [rule for rule in found if rule and rule["table"] == CUTS]


def _ends(rule: dict[str, object]) -> tuple[str, ...]:
    expressions = rule["expr"]
    assert isinstance(expressions, list)  # noqa: S101 - nft's JSON: a rule is a list of expressions
    return tuple(item["match"]["right"] for item in expressions if "match" in item)


def _nft(lab: str, lines: Iterable[str]) -> None:
    execute(_inside(lab, BACKBONE, "nft", "-f", "-"), stdin="\n".join(lines) + "\n")


def _ip(lab: str, machine: str, lines: Iterable[str]) -> None:
    execute(_inside(lab, machine, "ip", "-batch", "-"), stdin="\n".join(lines) + "\n")


def _inside(lab: str, machine: str, *argv: str) -> list[str]:
    return ["nsenter", f"--net={namespace(lab, machine)}", "--", *argv]


def _without_offloads(lab: str, machine: str, interface: str) -> None:
    # A wire carries complete checksums and frames of its MTU. Between kernels veth leaves both undone,
    # and Open vSwitch's userspace datapath, which reads raw frames, forwards them broken.
    execute(
        _inside(
            lab, machine, "ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"
        )
    )


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


def _port(machine: str, nic: str) -> str:
    return f"{machine}-{nic}"
