"""Steps for the interfaces OVN needs: the uplink's, and the tunnels' where packets go through userspace.

What a step makes of a bridge is kept by Open vSwitch; what belongs to the kernel (which interface is up,
who has the address) is done by a systemd unit, now and after each boot.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcloud import Host, Node, Offer, SettingsError, Step, StepContext
from mcloud_ovn.client import systemctl, vsctl
from mcloud_ovn.kept import keep, kept
from mcloud_ovn.roles import TUNNEL_BRIDGE, UPLINK_BRIDGE, nic_with


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An interface that is brought up, put into a bridge if there is one, and relieved of its addresses."""

    interface: str
    bridge: str = ""
    addresses: Sequence[str] = ()
    """With prefix; they move from the interface to the bridge."""
    unit: str
    what: str


def tunnel_port(node: Node, address: str) -> Port:
    """Return the port that the tunnel address moves from, with all addresses beside it."""
    nic = nic_with(node, address)
    if nic is None:
        raise SettingsError(
            f"{node.name} has no interface with the address {address}",
            hint="set ovn.underlay_ip to an address of this machine",
        )
    return Port(
        interface=nic.name,
        bridge=TUNNEL_BRIDGE,
        addresses=[str(own) for own in nic.addresses if not own.ip.is_link_local],
        unit="mcloud-ovn-underlay.service",
        what="tunnels between machines",
    )


def uplink_port(interface: str, *, userspace: bool) -> Port:
    """Return the port to the uplink network."""
    return Port(
        interface=interface,
        bridge=UPLINK_BRIDGE if userspace else "",
        unit="mcloud-ovn-uplink.service",
        what="the uplink of virtual networks",
    )


def connect(name: str, port: Port) -> Step:
    """Bring a port into service, for good."""
    return Step(
        name=name,
        run=partial(_connect, port),
        probe=partial(_connected, port),
        undo=partial(_disconnect, port),
    )


def unit_file(port: Port) -> str:
    """Return the systemd unit that sets up the kernel's side at each boot.

    The address is on the bridge before it leaves the interface. Checksums are left to software: the
    kernel would leave them to hardware that a bridge in userspace does not have.
    """
    lines = [f"ExecStart=ip link set dev {port.interface} up"]
    if port.addresses:
        lines += [f"ExecStart=ip link set dev {port.bridge} up"]
        lines += [f"ExecStart=-ethtool --offload {port.bridge} tx off"]
        for address in port.addresses:
            lines += [f"ExecStart=ip address replace {address} dev {port.bridge}{_no_dad(address)}"]
            lines += [f"ExecStart=-ip address del {address} dev {port.interface}"]
    return "\n".join(
        [
            "# Written by mcloud; `mcloud undo` takes it away.",
            "[Unit]",
            f"Description=Interface {port.interface} for {port.what} (mcloud)",
            "Wants=network-online.target",
            "After=network-online.target openvswitch-switch.service",
            "Before=ovn-controller.service",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            *lines,
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )


def _connect(port: Port, ctx: StepContext) -> None:
    host = ctx.host
    keep(ctx, "bridges", vsctl(host, "list-br").split())
    keep(ctx, "up", _is_up(host, port.interface))
    if port.bridge:
        add_bridge = ["--may-exist", "add-br", port.bridge, "--", "set", "Bridge", port.bridge]
        add_port = ["--", "--may-exist", "add-port", port.bridge, port.interface]
        vsctl(host, *add_bridge, "datapath_type=netdev", *add_port)
    host.write(_path(port), unit_file(port))
    systemctl(host, "daemon-reload")
    systemctl(host, "enable", port.unit)
    systemctl(host, "restart", port.unit)


def _connected(port: Port, ctx: StepContext) -> Sequence[Offer] | None:
    host = ctx.host
    if host.read(_path(port)) != unit_file(port) or not _is_up(host, port.interface):
        return None
    if port.bridge and _bridge_of(host, port.interface) != port.bridge:
        return None
    if port.addresses:
        mine = _addresses(host, port.bridge) - _addresses(host, port.interface)
        if not mine >= set(port.addresses):
            return None
    return ()


def _disconnect(port: Port, ctx: StepContext) -> None:
    host = ctx.host
    before = kept(ctx, "bridges")
    if before is None:
        return
    systemctl(host, "disable", port.unit, check=False)
    host.write(_path(port), None)
    systemctl(host, "daemon-reload")
    for address in port.addresses:
        host.run(["ip", "address", "replace", address, "dev", port.interface, *_no_dad(address).split()])
    # Without a bridge of ours, whoever used the uplink may have put it into one of their own.
    bridge = _bridge_of(host, port.interface)
    if bridge and bridge not in before:
        vsctl(host, "--if-exists", "del-br", bridge)
    if not kept(ctx, "up"):
        host.run(["ip", "link", "set", "dev", port.interface, "down"])


def _path(port: Port) -> str:
    return f"/etc/systemd/system/{port.unit}"


def _no_dad(address: str) -> str:
    """Return the flag for an IPv6 address that nobody else can have: it was this machine's already."""
    return " nodad" if ":" in address else ""


def _bridge_of(host: Host, interface: str) -> str:
    seconds = 12
    answer = host.run(["ovs-vsctl", "--timeout=10", "port-to-br", interface], check=False, seconds=seconds)
    return answer.stdout.strip() if answer.ok else ""


def _link(host: Host, interface: str) -> dict[str, Any]:
    answer = host.run(["ip", "-j", "address", "show", "dev", interface], check=False, seconds=10)
    return next(iter(json.loads(answer.stdout)), {}) if answer.ok else {}


def _is_up(host: Host, interface: str) -> bool:
    return "UP" in _link(host, interface).get("flags", ())


def _addresses(host: Host, interface: str) -> set[str]:
    found = _link(host, interface).get("addr_info", ())
    return {f"{one['local']}/{one['prefixlen']}" for one in found}
