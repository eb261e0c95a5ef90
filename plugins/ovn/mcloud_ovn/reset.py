"""Steps of `mcloud reset`: OVN ends on this machine, and Open vSwitch has again only what is not OVN's."""

from collections.abc import Iterator, Sequence

from mcloud import Host, NetworkAccess, NetworkUplink, Offer, ServiceError, Step, StepContext, VirtualNetworks
from mcloud_ovn.chassis import CONTROLLER, HOST, SWITCH
from mcloud_ovn.client import (
    DATABASES,
    PATIENCE,
    SECONDS,
    active,
    enabled,
    external_ids,
    in_use,
    is_clustered,
    systemctl,
)
from mcloud_ovn.databases import CENTRAL, NORTHD, UNITS, drop_in, remove_file
from mcloud_ovn.files import (
    AUTHORITY,
    AUTHORITY_KEY,
    BANNER,
    CENTRAL_DEFAULTS,
    CERTIFICATE,
    HOST_DEFAULTS,
    KEY,
    NORTHD_PARAMETERS,
    PACKAGED,
)
from mcloud_ovn.reset_interfaces import (
    OURS,
    SWITCHES,
    bridges_here,
    change,
    end,
    give_back,
    ports_of,
    probe_interfaces,
    told,
)
from mcloud_ovn.roles import INTEGRATION_BRIDGE

KEYS = (AUTHORITY_KEY, KEY, CERTIFICATE, AUTHORITY)

_NORTHD = "/usr/bin/ovn-northd"
_LXDS = "lxdovn"
"""How the names of bridges begin that LXD makes for its uplinks, and removes itself."""


def steps() -> Iterator[Step]:
    """Yield all that ends OVN here; who used its networks is gone by then."""
    yield Step(
        name="controller", run=_end_controller, probe=_controller, offers=(VirtualNetworks, NetworkAccess)
    )
    yield Step(
        name="databases",
        run=_end_databases,
        probe=_databases,
        destroys=("this machine's copy of OVN's databases; with the last one, all virtual networks",),
    )
    yield Step(name="interfaces", run=give_back, probe=probe_interfaces, offers=(NetworkUplink,))
    yield Step(name="certificates", run=_remove_keys, probe=_keys)
    yield Step(name="others", run=lambda _ctx: None, probe=_others)


# ---- the controller --------------------------------------------------------------------------------------


def _controller(ctx: StepContext) -> Sequence[Offer] | None:
    host, found = ctx.host, list[str]()
    if _is_ours(host, HOST_DEFAULTS):
        found.append(HOST_DEFAULTS)
    if host.stat(SWITCHES) is not None:
        if ids := _ids(host):
            found.append(f"in Open vSwitch: {', '.join(ids)}")
        if ports := [port for port in ports_of(host, INTEGRATION_BRIDGE) if port != INTEGRATION_BRIDGE]:
            found.append(f"bridge {INTEGRATION_BRIDGE} with {len(ports)} ports")
    return told(ctx, found)


def _ids(host: Host) -> Sequence[str]:
    return sorted(key for key in external_ids(host) if key.startswith("ovn-"))


def _end_controller(ctx: StepContext) -> None:
    """End the controller and forget what it was told; then it runs without a database, as installed."""
    host = ctx.host
    end(host, CONTROLLER, HOST)
    _restore(host, HOST_DEFAULTS)
    if host.stat(SWITCHES) is None:
        return
    systemctl(host, "start", SWITCH, seconds=90)
    if ids := _ids(host):
        forget = [["--", "remove", "Open_vSwitch", ".", "external_ids", key] for key in ids]
        change(host, *[word for command in forget for word in command][1:])
    change(host, "--if-exists", "del-br", INTEGRATION_BRIDGE)
    systemctl(host, "reset-failed", HOST, CONTROLLER, check=False)
    systemctl(host, "start", HOST, CONTROLLER)


# ---- databases -------------------------------------------------------------------------------------------


def _databases(ctx: StepContext) -> Sequence[Offer] | None:
    host, found = ctx.host, list[str]()
    for database in DATABASES:
        try:
            if is_clustered(host, database):
                found.append(f"a clustered database, {database.file}")
            elif tables := in_use(host, database):
                found.append(f"{database.file} with rows in {', '.join(tables)}")
        except (ServiceError, ValueError):
            found.append(f"{database.file}, which is damaged")
    if _is_off(host):
        found.append(f"{CENTRAL}, which is off: it will run as it was installed")
    files = [path for path in (CENTRAL_DEFAULTS,) if _is_ours(host, path)]
    files += [path for path in (NORTHD_PARAMETERS, *_drop_ins()) if host.stat(path) is not None]
    return told(ctx, [*found, *([", ".join(files)] if files else [])])


def _end_databases(ctx: StepContext) -> None:
    """End the servers without a word to the others; then both databases are alone and empty, as installed."""
    host = ctx.host
    end(host, *UNITS)
    for database in DATABASES:
        remove_file(host, database)
    for path in (NORTHD_PARAMETERS, *_drop_ins()):
        host.write(path, None)
    _remove_empty(host, *(path.rpartition("/")[0] for path in _drop_ins()))
    _restore(host, CENTRAL_DEFAULTS)
    systemctl(host, "daemon-reload")
    if host.stat(_NORTHD) is not None:
        systemctl(host, "reset-failed", *UNITS, check=False)
        systemctl(host, "enable", CENTRAL)
        systemctl(host, "start", *UNITS)
        ctx.wait(lambda: _are_new(host) or None, what="OVN's databases to be made anew", patience=PATIENCE)


def _is_off(host: Host) -> bool:
    """Whether the servers were stopped, or switched off with their databases removed, as we do to them.

    One that its operator switched off, with its databases where they were, is left so.
    """
    if host.stat(_NORTHD) is None:
        return False
    servers = [database.unit for database in DATABASES]
    if enabled(host, [CENTRAL]):
        return len(active(host, servers)) < len(servers)
    return not any(host.stat(database.file) for database in DATABASES)


def _are_new(host: Host) -> bool:
    """Whether both databases are there, alone and empty. Raises ServiceError while one is being made."""
    there = all(host.stat(database.file) for database in DATABASES)
    return there and not any(is_clustered(host, one) or in_use(host, one) for one in DATABASES)


def _drop_ins() -> Sequence[str]:
    return [drop_in(unit) for unit in (*(database.unit for database in DATABASES), NORTHD)]


# ---- keys, and what stays --------------------------------------------------------------------------------


def _keys(ctx: StepContext) -> Sequence[Offer] | None:
    found = [path for path in KEYS if ctx.host.stat(path) is not None]
    return told(ctx, [", ".join(found)] if found else [])


def _remove_keys(ctx: StepContext) -> None:
    for path in KEYS:
        ctx.host.write(path, None)


def _others(ctx: StepContext) -> Sequence[Offer]:
    for bridge in bridges_here(ctx.host):
        if bridge not in {*OURS, INTEGRATION_BRIDGE} and not bridge.startswith(_LXDS):
            ctx.report(f"bridge {bridge} in Open vSwitch is not OVN's")
    return ()


def _is_ours(host: Host, path: str) -> bool:
    return (host.read(path) or "").startswith(BANNER)


def _restore(host: Host, path: str) -> None:
    if _is_ours(host, path):
        host.write(path, PACKAGED[path])


def _remove_empty(host: Host, *folders: str) -> None:
    for folder in folders:
        if host.stat(folder) is not None:
            host.run(["rmdir", "--ignore-fail-on-non-empty", folder], check=False, seconds=SECONDS)
