"""An interface is its name and its address for life together, and is found again by both."""

import json
from collections.abc import Mapping
from typing import Any

from mcloud.errors import ServiceError
from mcloud.host import Host
from mcloud.model import Nic

_SECONDS = 10

_MADE = frozenset({"bridge", "bond", "team", "vlan", "vrf", "openvswitch"})
"""Kinds (`info_kind` of ip-link(8)) that may bear the address of what they are made of."""


def interface_now(host: Host, nic: Nic) -> str | None:
    """Return what an interface of the plan is called on this machine now; None if that cannot be told.

    Goes by the address that hardware has for life (`Nic.permanent`). What has none (a bridge, a bond, a
    VLAN: their addresses follow what they are made of) is known by its name, which is returned as it is.
    """
    if not nic.permanent:
        return nic.name
    bearers = [name for name, address in _addresses(host).items() if address == nic.permanent]
    if nic.name in bearers:
        return nic.name
    return bearers[0] if len(bearers) == 1 else None


def check_interface(host: Host, nic: Nic) -> None:
    """Refuse to go on where an interface of the plan is not there, or another one has its name.

    Raises ServiceError with the addresses of both, and with the name that the right one has now.
    """
    now = interface_now(host, nic)
    if now == nic.name:
        return
    here = _addresses(host).get(nic.name)
    wrong = (
        f"{nic.name} of {host.name} is another interface than the one in the plan: "
        f"{here}, was {nic.permanent}"
        if here
        else f"{host.name} has no interface {nic.name} ({nic.permanent}) any more"
    )
    raise ServiceError(
        wrong + (f"; the one in the plan is {now} now" if now else ""),
        hint="give interfaces names that stay (systemd.link(5)) and type the same command again; or undo, "
        "and name the right one in the file",
    )


def permanent_address(link: Mapping[str, Any]) -> str:
    """Return the address for life of one link of `ip -j -d link`, which has to be hardware.

    The kernel tells it (`permaddr`) where another address is set, as for a port of a bond.
    """
    return str(link.get("permaddr") or link.get("address") or "").lower()


def _addresses(host: Host) -> Mapping[str, str]:
    """Return the address for life of all interfaces by name, without those that are made of others."""
    links = json.loads(host.run(["ip", "-j", "-d", "link"], seconds=_SECONDS).stdout)
    return {
        str(link["ifname"]): permanent_address(link)
        for link in links
        if link.get("ifname") and link.get("linkinfo", {}).get("info_kind") not in _MADE
    }
