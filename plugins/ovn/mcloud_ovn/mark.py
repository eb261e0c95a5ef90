"""The mark on what is ours in Open vSwitch: undo and reset go by it, never by a name.

It is a key among the `external_ids` of a bridge, and of the switch's own settings: keys there are free for
whoever manages the switch (ovs-vswitchd.conf.db(5)). Its value tells one run from another.
"""

import json
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from mcloud import Host, ServiceError, StepContext
from mcloud_ovn.client import vsctl

MARK = "mcloud"
"""The key."""

BEFORE = "mcloud-before"
"""Key in the switch's own settings: what others had set there, for a reset that has no journal."""

_MADE_BY_OVN = "ovn-"
"""How keys begin that ovn-controller sets at the ports it makes (ovn-controller(8))."""

_PATCH = "ovn-localnet-port"
"""Key at a port that joins two bridges (controller/patch.c)."""

_INSTANCE = "iface-id"
"""Key at an interface by which OVN knows the instance behind it (ovn-architecture(7))."""


def mark_of_run(ctx: StepContext) -> str:
    """Return the mark that this step gives, the same whenever it runs again; journalled first."""
    return ctx.keep(MARK, token_hex(6)) or ""


def marks(host: Host) -> Mapping[str, str]:
    """Return the mark of each bridge in Open vSwitch; "" for one that mcloud did not make."""
    return {
        row["name"]: _ids(row["external_ids"]).get(MARK, "")
        for row in _rows(host, "Bridge", "name", "external_ids")
    }


def port_names(host: Host) -> Sequence[str]:
    """Return the names of all ports in Open vSwitch, of whatever bridge."""
    return [str(row["name"]) for row in _rows(host, "Port", "name")]


def foreign_ports(host: Host, bridge: str, *, instances: bool = False) -> Sequence[str]:
    """Return the ports of a bridge that OVN did not make; those of its instances only if asked for."""
    there = vsctl(host, "list-ports", bridge).split()
    if not there:
        return ()
    ovns = {
        row["name"]
        for table in ("Port", "Interface")
        for row in _rows(host, table, "name", "external_ids")
        for key in _ids(row["external_ids"])
        if key.startswith(_MADE_BY_OVN) or (key == _INSTANCE and not instances)
    }
    return [port for port in there if port not in ovns]


def patches(host: Host) -> Sequence[str]:
    """Return the ports by which ovn-controller joined its bridge to others: it leaves them when it ends."""
    rows = _rows(host, "Port", "name", "external_ids")
    return [str(row["name"]) for row in rows if _PATCH in _ids(row["external_ids"])]


def refuse_foreign(host: Host, bridge: str) -> None:
    """Raise ServiceError if an interface that is not ours has the name that a bridge of ours needs."""
    there = marks(host)
    if there.get(bridge) or (bridge not in there and host.stat(f"/sys/class/net/{bridge}") is None):
        return
    raise ServiceError(
        f"{host.name} has a {bridge} that mcloud did not make; nothing of it was changed",
        hint=f"give {bridge} another name, or leave this machine out",
    )


def _rows(host: Host, table: str, *columns: str) -> Sequence[Mapping[str, Any]]:
    said = json.loads(vsctl(host, "--format=json", f"--columns={','.join(columns)}", "list", table))
    return [dict(zip(said["headings"], row, strict=True)) for row in said["data"]]


def _ids(column: Any) -> Mapping[str, str]:
    """Return a column of key and value pairs, which OVSDB writes as `["map", [[key, value], ...]]`."""
    return dict(column[1])
