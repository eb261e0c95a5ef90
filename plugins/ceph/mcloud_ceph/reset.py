"""Steps of `mcloud reset`: Ceph ends on this machine, whatever state it is in and whoever else is dead."""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from mcloud import (
    Host,
    Offer,
    ServiceError,
    Step,
    StepContext,
    StorageAccess,
    StoragePool,
)
from mcloud_ceph import units
from mcloud_ceph.conffile import fsid_at
from mcloud_ceph.files import CONF, STATE
from mcloud_ceph.layout import POOL
from mcloud_ceph.osds import OSDS
from mcloud_ceph.ownership import KINDS, access_of_ours, ceph_is_ours, daemons, names, not_ours
from mcloud_ceph.reset_disks import clusters_of_cephadm, probe_disks, shared_in_lvm, wipe_all

_MAPPED = "/sys/bus/rbd/devices"
"""Where the kernel lists images it has mapped, each with the name of its pool (sysfs-bus-rbd)."""

_SYSTEMD = ("/etc/systemd/system", "/run/systemd/system")


def steps(*, wipe: bool) -> Iterator[Step]:
    """Yield all that ends Ceph here; its users (LXD's pools) are gone by then."""
    yield Step(
        name="mappings", run=_unmap, probe=_mappings, offers=(StoragePool, StorageAccess),
    )  # fmt: skip
    yield Step(name="daemons", run=_stop, probe=_daemons)
    yield Step(
        name="disks",
        run=wipe_all,
        probe=partial(probe_disks, wipe=wipe),
        destroys=("all that Ceph keeps on the disks named above",),
    )
    yield Step(
        name="data",
        run=_remove_data,
        probe=_data,
        destroys=("this machine's part of its Ceph cluster; with the last monitor, the whole of it",),
    )
    # After the data: our ceph.conf tells that it is ours.
    yield Step(name="access", run=_remove_access, probe=_access)
    yield Step(name="others", run=lambda _ctx: None, probe=_others)


# ---- what the kernel has mapped --------------------------------------------------------------------------


def _images(host: Host) -> Sequence[str]:
    """Return the numbers of mapped images of our pool, in our cluster."""
    if not ceph_is_ours(host):
        return []
    own = fsid_at(host)
    return [
        number
        for number in host.list(_MAPPED)
        if (host.read(f"{_MAPPED}/{number}/pool") or "").strip() == POOL
        and own in {None, (host.read(f"{_MAPPED}/{number}/cluster_fsid") or own or "").strip()}
    ]


def _mappings(ctx: StepContext) -> Sequence[Offer] | None:
    images = _images(ctx.host)
    for number in images:
        name = (ctx.host.read(f"{_MAPPED}/{number}/name") or "").strip()
        ctx.report(f"/dev/rbd{number}, image {name} of pool {POOL}")
    return None if images else ()


def _unmap(ctx: StepContext) -> None:
    for number in _images(ctx.host):
        # With force: the cluster that would have to answer may be gone.
        ctx.host.run(["rbd", "device", "unmap", "--options", "force", f"/dev/rbd{number}"], seconds=60)


# ---- daemons ---------------------------------------------------------------------------------------------


def _units(host: Host) -> Sequence[str]:
    """Return the units of daemons: those with data, those that start at boot, those with lines of ours."""
    found = {f"ceph-{kind}@{name}.service" for kind in KINDS for name in names(host, kind)}
    for folder in _SYSTEMD:
        inside = [host.list(f"{folder}/ceph-{kind}.target.wants") for kind in KINDS]
        drop_ins = [name.removesuffix(".d") for name in host.list(folder) if name.endswith(".d")]
        found |= {unit for units in (*inside, drop_ins) for unit in units if _is_daemon(unit)}
    shown = host.run(["systemctl", "list-units", "--plain", "--no-legend", "ceph-*@*.service"], seconds=20)
    found |= {line.split()[0] for line in shown.stdout.splitlines() if _is_daemon(line.split()[0])}
    return sorted(found)


def _is_daemon(unit: str) -> bool:
    return re.fullmatch(rf"ceph-({'|'.join(KINDS)})@.+\.service", unit) is not None


def _daemons(ctx: StepContext) -> Sequence[Offer] | None:
    found = _live(ctx.host)
    if found:
        ctx.report(", ".join(unit.removesuffix(".service") for unit in found))
    return None if found else ()


def _live(host: Host) -> Sequence[str]:
    """Return the units that run, come back at boot, or have lines of ours."""
    found = _units(host) if ceph_is_ours(host) else ()
    if not found:
        return ()
    asked = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *found]
    live = []
    for block in host.run(asked, seconds=20).stdout.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        ended = {fields.get("ActiveState"), "inactive"} == {"inactive"} and fields.get(
            "UnitFileState"
        ) != "enabled"
        if fields.get("Id") and not ended:
            live.append(fields["Id"])
    changed = [
        unit for unit in found if any(units.was_changed(host, unit, until_boot=one) for one in (True, False))
    ]
    return sorted({*live, *changed})


def _stop(ctx: StepContext) -> None:
    found = _live(ctx.host)
    if found:
        units.stop_at_once(ctx.host, *found)
        for unit in found:
            for until_boot in (True, False):
                units.take_from(ctx.host, unit, until_boot=until_boot)


# ---- data, and access ------------------------------------------------------------------------------------


def _folders(host: Host) -> Sequence[str]:
    made = daemons(host) if ceph_is_ours(host) else ()
    found = [f"{STATE}/{kind}/ceph-{name}" for kind, name in made]
    half_made = [f"{STATE}/{name}" for name in host.list(STATE) if name.startswith("mcloud.")]
    return [*found, *half_made]


def _data(ctx: StepContext) -> Sequence[Offer] | None:
    folders = _folders(ctx.host)
    listed = [f"{kind}.{name}" for kind, name in daemons(ctx.host)]
    if folders and listed and ceph_is_ours(ctx.host):
        ctx.report(f"the data of {', '.join(listed)}")
    elif folders:
        ctx.report("what a monitor was to be made of")
    return None if folders else ()


def _remove_data(ctx: StepContext) -> None:
    host = ctx.host
    for folder in _folders(host):
        if folder.startswith(f"{OSDS}/"):
            _give_back(host, folder)
        host.run(["rm", "--recursive", "--force", "--one-file-system", folder])


def _give_back(host: Host, folder: str) -> None:
    """Give the disk of an OSD, whatever is on it, back to root; unmount the tmpfs that the folder may be."""
    host.run(["umount", folder], check=False, seconds=20)
    for name in ("block", "block.db", "block.wal"):
        found = host.stat(f"{folder}/{name}")
        if found is not None and found.kind == "block":
            host.run(["chown", "root:disk", f"{folder}/{name}"])


def _others(ctx: StepContext) -> Sequence[Offer]:
    for line in not_ours(ctx.host):
        ctx.report(line)
    for cluster in clusters_of_cephadm(ctx.host):
        ctx.report(f"cephadm runs cluster {cluster}: `cephadm rm-cluster --fsid {cluster} --force` ends it")
    for path in shared_in_lvm(ctx.host):
        ctx.report(f"{path} holds an OSD of Ceph beside volumes of others, and is left alone: see `lvs`")
    return ()


def _access(ctx: StepContext) -> Sequence[Offer] | None:
    found = access_of_ours(ctx.host)
    if found:
        ctx.report(", ".join(found))
    return None if found else ()


def _remove_access(ctx: StepContext) -> None:
    left = _folders(ctx.host)
    for path in access_of_ours(ctx.host):
        if path == CONF and left:
            raise ServiceError(f"{CONF} stays until {', '.join(left)} is gone: it tells whose that is")
        ctx.host.write(path, None)
