"""Steps for the interfaces OVN needs: the uplink's, and the tunnels' where packets go through userspace.

What a step makes of a bridge is kept by Open vSwitch; what belongs to the kernel (which interface is up,
who has the address) is done by a systemd unit, now and after each boot.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcloud import Host, Nic, Node, Offer, SettingsError, Step, StepContext, interface_now
from mcloud_ovn.client import systemctl, vsctl
from mcloud_ovn.kept import keep, kept
from mcloud_ovn.mark import MARK, mark_of_run, marks, refuse_foreign
from mcloud_ovn.recognition import SameInterfaces, named, only_for
from mcloud_ovn.roles import (
    LXDS,
    TUNNEL_BRIDGE,
    UPLINK_BRIDGE,
    nic_with,
    settings_of,
    tunnel_address,
    tunnels_by_bridge,
    uplink_by_bridge,
)
from mcloud_ovn.settings import OvnNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An interface that is brought up, put into a bridge if there is one, and relieved of its addresses."""

    interface: str
    """Its name in the plan, which is what it has to be called while it is put into service."""
    nic: Nic
    """What the plan knows of it: taken back, it may have another name by now."""
    bridge: str = ""
    addresses: Sequence[str] = ()
    """With prefix; they move from the interface to the bridge."""
    unit: str
    what: str


def ports(node: Node, node_settings: Mapping[str, OvnNode]) -> Sequence[Port]:
    """Return the ports of a machine: the tunnels' if packets go through userspace, the uplink's if it has."""
    found = []
    if tunnels_by_bridge(node, node_settings):
        found.append(tunnel_port(node, tunnel_address(node, node_settings)))
    if interface := settings_of(node, node_settings).uplink_interface:
        nic = next((nic for nic in node.survey.nics if nic.name == interface), Nic(name=interface))
        found.append(uplink_port(nic, by_bridge=uplink_by_bridge(node, node_settings)))
    return found


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
        nic=nic,
        bridge=TUNNEL_BRIDGE,
        addresses=[str(own) for own in nic.addresses if not own.ip.is_link_local],
        unit="mcloud-ovn-underlay.service",
        what="tunnels between machines",
    )


def uplink_port(nic: Nic, *, by_bridge: bool) -> Port:
    """Return the port to the uplink network."""
    return Port(
        interface=nic.name,
        nic=nic,
        bridge=UPLINK_BRIDGE if by_bridge else "",
        unit="mcloud-ovn-uplink.service",
        what="the uplink of virtual networks",
    )


def connect(ports: Sequence[Port]) -> Step:
    """Bring ports into service, for good."""
    return Step(
        name="interfaces",
        run=partial(_connect_all, ports),
        probe=partial(_all_connected, ports),
        undo=partial(_disconnect_all, ports),
        needs=(SameInterfaces,),
    )


def unit_file(port: Port) -> str:
    """Return the systemd unit that sets up the kernel's side at each boot.

    The address is on the bridge before it leaves the interface. Checksums are left to software: the
    kernel would leave them to hardware that a bridge in userspace does not have. An interface that is
    to carry no address of this machine gets none by router advertisements either.
    """
    lines = [f"ExecStart=ip link set dev {port.interface} up"]
    if not port.addresses:
        lines = [f"ExecStart=-sh -c 'echo 1 >{_ipv6_switch(port.interface)}'", *lines]
    else:
        lines += [f"ExecStart=ip link set dev {port.bridge} up"]
        lines += [f"ExecStart=-ethtool --offload {port.bridge} tx off"]
        for address in port.addresses:
            lines += [f"ExecStart=ip address replace {address} dev {port.bridge}{no_dad(address)}"]
            lines += [f"ExecStart=-ip address del {address} dev {port.interface}"]
    return "\n".join(
        [
            "# Written by mcloud; `mcloud undo` takes it away.",
            "[Unit]",
            f"Description=Interface {port.interface} for {port.what} (mcloud)",
            *named(port.nic),
            "Wants=network-online.target",
            "After=network-online.target openvswitch-switch.service",
            "Before=ovn-controller.service",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            *only_for(port.nic),
            *lines,
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )


def _connect_all(ports: Sequence[Port], ctx: StepContext) -> None:
    host = ctx.host
    keep(ctx, "bridges", vsctl(host, "list-br").split())
    keep(ctx, "up", [port.interface for port in ports if _is_up(host, port.interface)])
    mark = mark_of_run(ctx)
    for port in ports:
        if not port.addresses:
            switch = _ipv6_switch(port.interface)
            there = f"test ! -e {switch} || cat {switch}"
            keep(ctx, port.interface, host.run(["sh", "-c", there], seconds=10).stdout)
        if port.bridge:
            refuse_foreign(host, port.bridge)
            ours = f"external_ids:{MARK}={mark}"
            add_bridge = ["--may-exist", "add-br", port.bridge, "--", "set", "Bridge", port.bridge]
            add_port = ["--", "--may-exist", "add-port", port.bridge, port.interface]
            # In one go: a bridge of ours is never without its mark.
            vsctl(host, *add_bridge, "datapath_type=netdev", ours, *add_port)
        ctx.keep_file(_path(port))
        host.write(_path(port), unit_file(port))
    units = [port.unit for port in ports]
    systemctl(host, "enable", *units)
    systemctl(host, "restart", *units)


def _all_connected(ports: Sequence[Port], ctx: StepContext) -> Sequence[Offer] | None:
    return () if all(_connected(port, ctx.host) for port in ports) else None


def _connected(port: Port, host: Host) -> bool:
    if host.read(_path(port)) != unit_file(port) or not _is_up(host, port.interface):
        return False
    if port.bridge and (_bridge_of(host, port.interface) != port.bridge or not marks(host)[port.bridge]):
        return False
    if not port.addresses:
        return True
    moved = addresses_of(host, port.bridge) - addresses_of(host, port.interface)
    return moved >= set(port.addresses)


def _disconnect_all(ports: Sequence[Port], ctx: StepContext) -> None:
    bridges = kept(ctx, "bridges")
    if bridges is None:
        return
    if units := [port.unit for port in ports if ctx.host.stat(_path(port))]:
        systemctl(ctx.host, "disable", "--now", *units)
    for port in ports:
        ctx.host.write(_path(port), None)
    systemctl(ctx.host, "daemon-reload")
    for port in ports:
        name = interface_now(ctx.host, port.nic)
        if name is None:
            ctx.report(
                f"{port.interface} ({port.nic.permanent}) is not here any more: nothing is done with it"
            )
        _disconnect(port, name, ctx, bridges)
        if name is None:
            continue
        if before := kept(ctx, port.interface):
            ctx.host.run(["tee", _ipv6_switch(name)], stdin=before, seconds=10)
        if port.interface not in kept(ctx, "up", [port.interface]):
            ctx.host.run(["ip", "link", "set", "dev", name, "down"], seconds=10)


def _disconnect(port: Port, name: str | None, ctx: StepContext, bridges_before: Sequence[str]) -> None:
    """Take a port out of our bridge; `name` is what the interface of the plan is called now."""
    host = ctx.host
    for address in port.addresses if name else ():
        back = ["ip", "address", "replace", address, "dev", str(name), *no_dad(address).split()]
        host.run(back, seconds=10)
    if port.bridge and marks(host).get(port.bridge) == ctx.kept(MARK):
        vsctl(host, "--if-exists", "del-br", port.bridge)
    # Without a bridge of ours, LXD may have made one to put the uplink into, and not have come to remove it.
    bridge = _bridge_of(host, port.interface)
    if bridge.startswith(LXDS) and bridge not in bridges_before:
        vsctl(host, "--if-exists", "del-br", bridge)
    elif bridge:
        ctx.report(f"{port.interface} stays in the bridge {bridge}, which is not mcloud's")


def _path(port: Port) -> str:
    return f"/etc/systemd/system/{port.unit}"


def _ipv6_switch(interface: str) -> str:
    return f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"


def no_dad(address: str) -> str:
    """Return the flag for an IPv6 address that nobody else can have: it was this machine's already."""
    return " nodad" if ":" in address else ""


def _bridge_of(host: Host, interface: str) -> str:
    """Return the Open vSwitch bridge that an interface is a port of; "" if of none."""
    bridges = vsctl(host, "list-br").split()
    return next((bridge for bridge in bridges if interface in vsctl(host, "list-ports", bridge).split()), "")


def _link(host: Host, interface: str) -> dict[str, Any]:
    shown = json.loads(host.run(["ip", "-j", "address", "show", "dev", interface], seconds=10).stdout)
    return dict(shown[0])


def _is_up(host: Host, interface: str) -> bool:
    return "UP" in _link(host, interface).get("flags", ())


def addresses_of(host: Host, interface: str) -> set[str]:
    """Return the addresses of an interface, with prefix."""
    found = _link(host, interface).get("addr_info", ())
    return {f"{one['local']}/{one['prefixlen']}" for one in found}
