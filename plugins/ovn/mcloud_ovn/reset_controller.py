"""The controller ended by `mcloud reset`: Open vSwitch forgets what we set, and has again what others had."""

import json
from collections.abc import Mapping, Sequence

from mcloud import Host, Offer, StepContext
from mcloud_ovn.chassis import CONTROLLER, HOST, SWITCH
from mcloud_ovn.client import external_ids, settings_command, systemctl
from mcloud_ovn.files import BANNER, HOST_DEFAULTS, PACKAGED
from mcloud_ovn.mark import BEFORE, MARK, foreign_ports, marks, patches
from mcloud_ovn.others import MAPPINGS, as_before, disturbing
from mcloud_ovn.reset_interfaces import SWITCHES, change, end, ports_of, told
from mcloud_ovn.roles import INTEGRATION_BRIDGE


def probe_controller(ctx: StepContext) -> Sequence[Offer] | None:
    """Look for what the controller was told by us, and for its bridge, by our mark."""
    host, found = ctx.host, list[str]()
    if was_written_here(host, HOST_DEFAULTS):
        found.append(HOST_DEFAULTS)
    if host.stat(SWITCHES) is not None:
        ids = external_ids(host)
        if MARK in ids:
            found.append(f"in Open vSwitch: {', '.join(ovns(ids))}")
            found += [f"set there before by others, and given back: {_before(ids)}"] if _before(ids) else []
        if marks(host).get(INTEGRATION_BRIDGE):
            ports = [port for port in ports_of(host, INTEGRATION_BRIDGE) if port != INTEGRATION_BRIDGE]
            found.append(f"bridge {INTEGRATION_BRIDGE} with {len(ports)} ports")
    return told(ctx, found)


def ovns(ids: Mapping[str, str]) -> Sequence[str]:
    """Return the settings of Open vSwitch that are for OVN."""
    return sorted(key for key in ids if key.startswith("ovn-"))


def _before(ids: Mapping[str, str]) -> Mapping[str, str]:
    """Return what others had set before us, as the mark remembers it; empty if that cannot be read."""
    try:
        found = json.loads(ids.get(BEFORE, "{}"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def end_controller(ctx: StepContext) -> None:
    """End the controller and forget what it was told; then it runs without a database, as installed."""
    host = ctx.host
    end(host, CONTROLLER, HOST)
    restore_packaged(host, HOST_DEFAULTS)
    if host.stat(SWITCHES) is None:
        return
    systemctl(host, "start", SWITCH, seconds=90)
    _leave_switch(ctx)
    systemctl(host, "reset-failed", HOST, CONTROLLER, check=False)
    systemctl(host, "start", HOST, CONTROLLER)


def _leave_switch(ctx: StepContext) -> None:
    host, ids = ctx.host, external_ids(ctx.host)
    if marks(host).get(INTEGRATION_BRIDGE):
        if strangers := foreign_ports(host, INTEGRATION_BRIDGE):
            ctx.report(f"bridge {INTEGRATION_BRIDGE} stays: it has ports of others, {', '.join(strangers)}")
            change(host, "remove", "Bridge", INTEGRATION_BRIDGE, "external_ids", MARK)
        else:
            change(host, "--if-exists", "del-br", INTEGRATION_BRIDGE)
    if MARK not in ids:
        return
    for port in patches(host):
        change(host, "--if-exists", "del-port", port)
    before = _before(ids)
    mappings = as_before(host, ids.get(MAPPINGS, ""), before.get(MAPPINGS))
    gone = dict.fromkeys((*_settings_of_ours(ids), MARK, BEFORE))
    change(host, *settings_command({**gone, **before, MAPPINGS: mappings}))


def _settings_of_ours(ids: Mapping[str, str]) -> Sequence[str]:
    """Return the keys that we set, and those that would disturb another OVN as they would ours."""
    return (*disturbing(ids), MAPPINGS)


def was_written_here(host: Host, path: str) -> bool:
    """Whether a file that Debian's packages bring is as we wrote it."""
    return (host.read(path) or "").startswith(BANNER)


def restore_packaged(host: Host, path: str) -> None:
    """Put such a file back as its package brings it, if it is as we wrote it."""
    if was_written_here(host, path):
        host.write(path, PACKAGED[path])
