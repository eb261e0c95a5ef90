"""Bridges and units of ours, taken away by `mcloud reset`, and the switch as it is changed without OVN."""

import re
from collections.abc import Sequence
from contextlib import suppress

from mcloud import Host, Offer, ServiceError, StepContext, interface_now
from mcloud_ovn.bridges import addresses_of, no_dad
from mcloud_ovn.client import SECONDS, systemctl, vsctl
from mcloud_ovn.mark import marks
from mcloud_ovn.recognition import named_in
from mcloud_ovn.roles import INTEGRATION_BRIDGE

SWITCHES = "/usr/bin/ovs-vsctl"

_SYSTEMD = "/etc/systemd/system"


def probe_interfaces(ctx: StepContext) -> Sequence[Offer] | None:
    """Look for units and bridges of ours."""
    host = ctx.host
    found = [f"unit {unit}" for unit in _units(host)]
    for bridge in _ours(host):
        addresses = ", ".join(sorted(_lasting(host, bridge)))
        found.append(f"bridge {bridge}" + (f" ({addresses} go back to its interface)" if addresses else ""))
    return told(ctx, found)


def give_back(ctx: StepContext) -> None:
    """Take our bridges and units away, and give addresses back to the interfaces they came from."""
    host, units = ctx.host, _units(ctx.host)
    texts = [_as_named_now(host, host.read(f"{_SYSTEMD}/{unit}") or "") for unit in units]
    moved = {address: interface for text in texts for address, interface in _moved(text)}
    for bridge in _ours(host):
        if interfaces := [port for port in ports_of(host, bridge) if host.stat(f"/sys/class/net/{port}")]:
            moved |= {address: interfaces[0] for address in _lasting(host, bridge) if address not in moved}
    if units:
        systemctl(host, "disable", "--now", *units, check=False)
    for address, interface in moved.items():
        back = ["ip", "address", "replace", address, "dev", interface, *no_dad(address).split()]
        host.run(back, seconds=SECONDS)
    for bridge in _ours(host):
        change(host, "--if-exists", "del-br", bridge)
    for path in (path for text in texts for path in re.findall(r"echo 1 >(/proc/\S+/disable_ipv6)", text)):
        usual = host.read("/proc/sys/net/ipv6/conf/default/disable_ipv6") or "0\n"
        host.run(["tee", path], stdin=usual, check=False, seconds=SECONDS)
    # Last: what is in them says where addresses belong.
    for unit in units:
        host.write(f"{_SYSTEMD}/{unit}", None)
    systemctl(host, "daemon-reload")


def _ours(host: Host) -> Sequence[str]:
    """Return the bridges that bear our mark, those aside that end with the controller."""
    if host.stat(SWITCHES) is None:
        return ()
    return [bridge for bridge, mark in marks(host).items() if mark and bridge != INTEGRATION_BRIDGE]


def _units(host: Host) -> Sequence[str]:
    return [name for name in host.list(_SYSTEMD) if re.fullmatch(r"mcloud-ovn-[a-z]+\.service", name)]


def _as_named_now(host: Host, unit: str) -> str:
    """Return the text of a unit of ours with the name that its interface has now.

    Nothing of it where that interface is gone: another one that bears its name is not ours.
    """
    for nic in named_in(unit):
        now = interface_now(host, nic)
        unit = re.sub(rf"(?<![\w.-]){re.escape(nic.name)}(?![\w.-])", now, unit) if now else ""
    return unit


def _moved(text: str) -> Sequence[tuple[str, str]]:
    """Return the addresses that a unit of ours takes from an interface, and that interface."""
    return re.findall(r"^ExecStart=-ip address del (\S+) dev (\S+)$", text, flags=re.MULTILINE)


def _lasting(host: Host, interface: str) -> set[str]:
    """Return the addresses of an interface that the kernel did not make itself."""
    with suppress(ServiceError):
        return {one for one in addresses_of(host, interface) if not one.lower().startswith("fe80:")}
    return set()


def told(ctx: StepContext, found: Sequence[str]) -> Sequence[Offer] | None:
    """Report all that was found, and return what a probe returns."""
    for line in found:
        ctx.report(line)
    return None if found else ()


def end(host: Host, *units: str) -> None:
    """End units by force: asked kindly, they wait for databases whose other servers may be dead."""
    systemctl(host, "stop", "--no-block", *units, check=False)
    systemctl(host, "kill", "--signal=KILL", *units, check=False)
    systemctl(host, "stop", *units, check=False)


def change(host: Host, *command: str) -> None:
    """Change Open vSwitch's settings; those of a switch that hangs are changed for when it runs again."""
    try:
        vsctl(host, *command)
    except ServiceError:
        vsctl(host, "--no-wait", *command)


def bridges_here(host: Host) -> Sequence[str]:
    """Return all bridges in Open vSwitch; none where it is not installed."""
    return vsctl(host, "list-br").split() if host.stat(SWITCHES) is not None else ()


def ports_of(host: Host, bridge: str) -> Sequence[str]:
    """Return the ports of a bridge in Open vSwitch; none if there is no such bridge."""
    return vsctl(host, "list-ports", bridge).split() if bridge in bridges_here(host) else ()
