"""The network interfaces an operator would name, and the addresses they have."""

import json
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Any

from mcloud.host import Host
from mcloud.interfaces import permanent_address
from mcloud.model import Nic
from mcloud.survey.looking import SECONDS, shown

_NAMED = frozenset({"bond", "team", "vlan", "bridge", "openvswitch", "vrf", "ipoib", "dummy", "wireguard"})
"""Kinds (`info_kind` of ip-link(8)) that people make and name; the rest without address is of no use here."""

_LENT = frozenset({"veth", "macvlan", "ipvlan"})
"""Kinds that a container is given in place of hardware."""

_PASSING = frozenset({"deprecated", "temporary", "tentative", "dadfailed"})
"""Addresses that will be gone, or never be usable."""


def nics(host: Host) -> tuple[Nic, ...]:
    """Return the interfaces by name, without loopback and the machine's ends of its instances' cables.

    `physical` is an interface with hardware behind it; in a container, which has none, one that it
    was lent (its other end is outside). Link-local addresses are left out: they name no machine.
    """
    found: Sequence[Mapping[str, Any]] = json.loads(
        host.run(["ip", "-j", "-d", "address"], seconds=SECONDS).stdout
    )
    # `ip -j` gives an empty object for what it was told to leave out.
    links = [link for link in found if link.get("ifname") and link.get("link_type") != "loopback"]
    hardware = {
        link["ifname"] for link in links if host.stat(f"/sys/class/net/{link['ifname']}/device") is not None
    }
    physical = hardware or {link["ifname"] for link in links if _is_lent(link)}
    return tuple(
        sorted(
            (
                nic
                for link in links
                if (nic := _nic(link, physical=link["ifname"] in physical)).physical
                or nic.addresses
                or _kind(link) in _NAMED
            ),
            key=lambda nic: nic.name,
        )
    )


def _nic(link: Mapping[str, Any], *, physical: bool) -> Nic:
    flags = link.get("flags", ())
    return Nic(
        name=shown(link["ifname"]),
        mac=shown(link.get("address", "")),
        permanent=shown(permanent_address(link)) if physical else "",
        up="UP" in flags and "LOWER_UP" in flags,
        physical=physical,
        mtu=link.get("mtu", 1500),
        addresses=tuple(
            ip_interface(f"{address['local']}/{address['prefixlen']}")
            for address in link.get("addr_info", ())
            if address.get("scope") not in {"link", "host"}
            and "local" in address
            and not any(address.get(flag) for flag in _PASSING)
        ),
        used_by=shown(link.get("master", "")),
    )


def _kind(link: Mapping[str, Any]) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _is_lent(link: Mapping[str, Any]) -> bool:
    """Whether a container was given this: its other end is outside, and no instance of ours has it.

    The machine's end of an instance's cable looks the same but for its name, which LXD, Docker and
    others begin with `veth`.
    """
    outside = "link_netnsid" in link or "link_index" in link
    return _kind(link) in _LENT and outside and not link["ifname"].startswith("veth")
