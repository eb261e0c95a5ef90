"""What is asked of the uplink and the underlay: what machines offer, and what does not fit."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from typing import Any

from mcloud import Choice, Nic, Node, SoFar, shared_networks

PORT = "port:"
"""Before the name of an interface that is a port of an Open vSwitch bridge, among a machine's features."""


def checked_range(text: str) -> str:
    """Return `first-last` as it is stored; raises ValueError."""
    first, last = range_ends(text)
    if first > last:
        msg = f"begins at {first}, which is behind its end {last}"
        raise ValueError(msg)
    return f"{first}-{last}"


def range_ends(text: str) -> tuple[IPv4Address, IPv4Address]:
    """Return both ends of `first-last`; raises ValueError."""
    parts = re.split(r"\s*-\s*", text.strip())
    if len(parts) != 2:  # noqa: PLR2004 - first and last
        msg = "is not written as first-last, e.g. 192.0.2.100-192.0.2.254"
        raise ValueError(msg)
    return IPv4Address(parts[0]), IPv4Address(parts[1])


# ---- what machines offer ------------------------------------------------------------------------------


def interfaces(node: Node) -> Sequence[Choice]:
    """Return a machine's interfaces; the only free one is picked beforehand."""
    free = [nic.name for nic in node.survey.nics if nic.physical and not _in_use(node, nic)]
    return [
        Choice(
            value=nic.name,
            cells=(nic.name, "up" if nic.up else "down", nic.mac),
            resource=f"interface:{nic.name}",
            closed=_in_use(node, nic),
            picked=free == [nic.name],
        )
        for nic in node.survey.nics
    ]


def addresses(node: Node) -> Sequence[Choice]:
    """Return a machine's addresses.

    Where packets go through userspace, tunnels cannot share the interface of the cloud's own traffic:
    there an address of another one is picked beforehand.
    """
    elsewhere = [
        str(own.ip)
        for nic in node.survey.nics
        for own in nic.addresses
        if node.address not in {str(other.ip) for other in nic.addresses} and not own.ip.is_link_local
    ]
    slow = not {"openvswitch", "geneve"} <= set(node.survey.abilities)
    return [
        Choice(value=str(own.ip), cells=(nic.name, str(own)), picked=slow and elsewhere[:1] == [str(own.ip)])
        for nic in node.survey.nics
        for own in nic.addresses
        if not (own.ip.is_link_local or own.ip.is_loopback)
    ]


def _in_use(node: Node, nic: Nic) -> str:
    state = node.services.get("ovn")
    own = [str(address) for address in nic.addresses if not address.ip.is_link_local]
    if own:
        return f"carries {', '.join(own)}"
    if nic.used_by or (state and f"{PORT}{nic.name}" in state.features):
        return f"in use by {nic.used_by or 'an Open vSwitch bridge'}"
    return ""


# ---- when to ask --------------------------------------------------------------------------------------


def possible(so_far: SoFar) -> bool:
    """Whether every machine has an interface for the uplink."""
    return not _without_interface(so_far)


def has_ipv4_gateway(so_far: SoFar) -> bool:
    """Whether there is an uplink with IPv4."""
    return so_far.settings.get("ipv4_gateway") is not None


def has_gateway(so_far: SoFar) -> bool:
    """Whether there is an uplink."""
    return bool(gateways(so_far))


def has_other_network(so_far: SoFar) -> bool:
    """Whether tunnels could go another way than the cloud's own traffic."""
    return len(so_far.nodes) > 1 and len(shared_networks(so_far.nodes)) > 1


def gateways(so_far: SoFar) -> list[str]:
    """Return the gateways' addresses: what DNS servers are, unless somebody says otherwise."""
    given = (so_far.settings.get("ipv4_gateway"), so_far.settings.get("ipv6_gateway"))
    return [str(gateway.ip) for gateway in given if gateway is not None]


# ---- what does not fit --------------------------------------------------------------------------------


def no_uplink(so_far: SoFar) -> str:
    """Say what it means that there is no uplink."""
    meaning = "instances get a network of each machine's own, not one across all"
    if without := _without_interface(so_far):
        return f"No uplink, as {', '.join(without)} has no free interface: {meaning}."
    return "" if has_gateway(so_far) else f"No gateway, so no uplink: {meaning}."


def wrong_ipv4_gateway(so_far: SoFar) -> str:
    """Say why the IPv4 gateway cannot be one."""
    return _wrong_gateway(so_far, so_far.settings.get("ipv4_gateway"))


def wrong_ipv6_gateway(so_far: SoFar) -> str:
    """Say why the IPv6 gateway cannot be one."""
    return _wrong_gateway(so_far, so_far.settings.get("ipv6_gateway"))


def wrong_range(so_far: SoFar) -> str:
    """Say why virtual routers cannot have these addresses."""
    gateway, given = so_far.settings.get("ipv4_gateway"), so_far.settings.get("ipv4_range")
    if gateway is None:
        return ""
    if given is None:
        return "virtual routers take their addresses from it: it cannot be left out beside a gateway"
    first, last = range_ends(given)
    if first not in gateway.network or last not in gateway.network:
        return f"is not inside the gateway's network, {gateway.network}"
    if first <= gateway.ip <= last:
        return f"holds the gateway {gateway.ip} itself"
    for node in so_far.nodes:
        for own in _addresses(node):
            if own.version == first.version and first <= own <= last:
                return f"holds {own}, an address of {node.name}"
    return ""


def interface_missing(so_far: SoFar) -> str:
    """Say which machines have no interface, where each needs one."""
    without = [node.name for node in so_far.nodes if node.name not in so_far.by_machine("uplink_interface")]
    need = "virtual networks move to any machine when one is lost, so each needs one"
    return f"no interface on {', '.join(without)}: {need}" if without else ""


def address_missing(so_far: SoFar) -> str:
    """Say which machines have no address for tunnels, where others have."""
    given = so_far.by_machine("underlay_ip")
    without = [node.name for node in so_far.nodes if node.name not in given]
    return (
        f"{', '.join(without)} has none: pick one on every machine, or on none" if given and without else ""
    )


def _wrong_gateway(so_far: SoFar, gateway: IPv4Interface | IPv6Interface | None) -> str:
    if gateway is None:
        return ""
    if gateway.network.num_addresses == 1:
        return f"needs the length of its network's prefix, as {gateway.ip}/24"
    if gateway.network.num_addresses > 2 and gateway.ip == gateway.network.network_address:  # noqa: PLR2004 - /31
        return f"{gateway} is a network, not an address in it"
    taken = [node.name for node in so_far.nodes if gateway.ip in _addresses(node)]
    return f"{gateway.ip} is an address of {taken[0]}" if taken else ""


def _addresses(node: Node) -> list[Any]:
    return [own.ip for nic in node.survey.nics for own in nic.addresses]


def _without_interface(so_far: SoFar) -> list[str]:
    return [node.name for node in so_far.nodes if all(_in_use(node, nic) for nic in node.survey.nics)]
