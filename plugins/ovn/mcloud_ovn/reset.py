"""Steps of `mcloud reset`: OVN ends on this machine, and Open vSwitch has again only what is not OVN's."""

from collections.abc import Iterator, Sequence

from mcloud import Host, NetworkAccess, NetworkUplink, Offer, ServiceError, Step, StepContext, VirtualNetworks
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
from mcloud_ovn.databases import UNITS, drop_in, remove_file
from mcloud_ovn.files import (
    AUTHORITY,
    AUTHORITY_KEY,
    CENTRAL_DEFAULTS,
    CERTIFICATE,
    HOST_DEFAULTS,
    KEY,
    NORTHD_PARAMETERS,
)
from mcloud_ovn.mark import MARK, marks
from mcloud_ovn.northd import CENTRAL, NORTHD
from mcloud_ovn.pki import is_ours
from mcloud_ovn.reset_controller import (
    end_controller,
    ovns,
    probe_controller,
    restore_packaged,
    was_written_here,
)
from mcloud_ovn.reset_interfaces import (
    SWITCHES,
    end,
    give_back,
    probe_interfaces,
    told,
)
from mcloud_ovn.roles import INTEGRATION_BRIDGE, LXDS

KEYS = (AUTHORITY_KEY, KEY, CERTIFICATE, AUTHORITY)

_NORTHD = "/usr/bin/ovn-northd"


def steps() -> Iterator[Step]:
    """Yield all that ends OVN here; who used its networks is gone by then."""
    yield Step(
        name="controller", run=end_controller, probe=probe_controller, offers=(VirtualNetworks, NetworkAccess)
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


# ---- databases -------------------------------------------------------------------------------------------


def _databases(ctx: StepContext) -> Sequence[Offer] | None:
    host = ctx.host
    if not _mcloud_was_here(host):
        return ()
    found = list(_in_databases(host))
    if _is_off(host):
        found.append(f"{CENTRAL}, which is off: it will run as it was installed")
    files = [path for path in (CENTRAL_DEFAULTS,) if was_written_here(host, path)]
    files += [path for path in (NORTHD_PARAMETERS, *_drop_ins()) if host.stat(path) is not None]
    return told(ctx, [*found, *([", ".join(files)] if files else [])])


def _in_databases(host: Host) -> Iterator[str]:
    """Yield what the databases of this machine hold, whoever made them."""
    for database in DATABASES:
        try:
            if is_clustered(host, database):
                yield f"a clustered database, {database.file}"
            elif tables := in_use(host, database):
                yield f"{database.file} with rows in {', '.join(tables)}"
        except (ServiceError, ValueError):
            yield f"{database.file}, which is damaged"


def _end_databases(ctx: StepContext) -> None:
    """End the servers without a word to the others; then both databases are alone and empty, as installed."""
    host = ctx.host
    end(host, *UNITS)
    for database in DATABASES:
        remove_file(host, database)
    for path in (NORTHD_PARAMETERS, *_drop_ins()):
        host.write(path, None)
    _remove_empty(host, *(path.rpartition("/")[0] for path in _drop_ins()))
    restore_packaged(host, CENTRAL_DEFAULTS)
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
    return told(ctx, [", ".join(found)] if found and not _keys_of_others(ctx.host) else [])


def _keys_of_others(host: Host) -> Sequence[str]:
    """Return the files of keys and certificates where there is one that no CA of mcloud has signed."""
    signed = [text for path in (AUTHORITY, CERTIFICATE) if (text := host.read(path))]
    if all(is_ours(text) for text in signed):
        return ()
    return [path for path in KEYS if host.stat(path) is not None]


def _remove_keys(ctx: StepContext) -> None:
    for path in KEYS:
        ctx.host.write(path, None)


def _others(ctx: StepContext) -> Sequence[Offer]:
    host = ctx.host
    there = marks(host) if host.stat(SWITCHES) is not None else {}
    for bridge, mark in there.items():
        if not mark and bridge != INTEGRATION_BRIDGE and not bridge.startswith(LXDS):
            ctx.report(f"bridge {bridge} in Open vSwitch is not mcloud's")
    if there and MARK not in (ids := external_ids(host)) and (theirs := ovns(ids)):
        ctx.report(f"in Open vSwitch: {', '.join(theirs)}, set by others")
    found = [] if _mcloud_was_here(host) else list(_in_databases(host))
    for line in (*found, *_keys_of_others(host)):
        ctx.report(f"{line}: not mcloud's")
    return ()


def _mcloud_was_here(host: Host) -> bool:
    """Whether OVN on this machine is, or was, mcloud's. Its certificates tell it to the end: they go last."""
    if any(was_written_here(host, path) for path in (HOST_DEFAULTS, CENTRAL_DEFAULTS)):
        return True
    if any(host.stat(path) is not None for path in _drop_ins()):
        return True
    return any(is_ours(text) for path in (AUTHORITY, CERTIFICATE) if (text := host.read(path)))


def _remove_empty(host: Host, *folders: str) -> None:
    for folder in folders:
        if host.stat(folder) is not None:
            host.run(["rmdir", "--ignore-fail-on-non-empty", folder], check=False, seconds=SECONDS)
