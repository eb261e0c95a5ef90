"""Check all machines before anything is changed: packages, earlier clusters, disks, networks, kernels."""

from collections.abc import Iterable, Mapping, Sequence

from mcloud import Check, DiskChoice, Node, ServiceState, find_disk, obstacle_checks
from mcloud_ceph import wire
from mcloud_ceph.inspection import CLIENT, KEY, MONITORS_ONLY, PACKAGES
from mcloud_ceph.layout import address_in, copies, disks_of, least_copies, public_address, runs_monitor
from mcloud_ceph.settings import SMALLEST_DISK, CephNode, CephSettings

OSD_MEMORY = 4 * 2**30
"""Bytes that an OSD uses by its own setting (osd_memory_target)."""


def checks(
    nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]
) -> Iterable[Check]:
    """Yield all findings; errors stop the run."""
    for node in nodes:
        yield from _service(node)
        yield from _obstacles(node, nodes, settings)
        yield from _networks(node, settings)
        yield from _disks(node, disks_of(node, node_settings))
    yield from wire.checks(nodes, settings)
    yield from _versions(nodes)
    yield from _safety(nodes, settings, node_settings)
    yield from _kernels(nodes, settings)


def _service(node: Node) -> Iterable[Check]:
    state = node.services.get("ceph")
    missing = PACKAGES if state is None else state.missing
    if missing:
        yield Check(
            level="error",
            machine=node.name,
            message=f"packages are missing: {', '.join(missing)}",
            hint=f"apt-get install {' '.join(missing)}, or give --install to have it done",
        )
    if state is not None and state.standing in {"alone", "clustered"}:
        yield _client(node, state) if CLIENT in state.features else _member(node, state)
    elif state is not None and (keys := [one for one in state.features if one.startswith(KEY)]):
        yield Check(
            level="warning",
            machine=node.name,
            message=f"{node.name} has keys of another Ceph, which stay as they are: "
            + ", ".join(key.removeprefix(KEY) for key in keys),
            hint="they open nothing in this cloud; if that cluster is not used any more, remove them",
        )


def _member(node: Node, state: ServiceState) -> Check:
    where = f"is in the Ceph cluster {state.cluster}" if state.cluster else "is in use by Ceph"
    return Check(
        level="error",
        machine=node.name,
        message=f"{node.name} {where}" + (f" ({state.note})" if state.note else " (/etc/ceph/ceph.conf)"),
        hint="only machines without Ceph can be taken; `mcloud undo` takes back a run of mcloud",
    )


def _client(node: Node, state: ServiceState) -> Check:
    """Return the refusal of a machine that uses a Ceph already: a path leads to one cluster only."""
    cluster = f" (cluster {state.cluster})" if state.cluster else ""
    files = state.note.split(", ")
    return Check(
        level="error",
        machine=node.name,
        message=f"{node.name} is a client of another Ceph{cluster}: {state.note} would have to be replaced",
        hint="under these names a machine can use one cluster only: leave it out or, if that cluster is not "
        f"used on it any more, put them away (`mkdir /root/ceph && mv {' '.join(files)} /root/ceph/`)",
    )


def _obstacles(node: Node, nodes: Sequence[Node], settings: CephSettings) -> Iterable[Check]:
    state = node.services.get("ceph")
    if state is not None and state.standing == "idle":
        unneeded = () if runs_monitor(node, nodes) else MONITORS_ONLY
        yield from obstacle_checks(node, state, address=public_address(node, settings), without=unneeded)


def _networks(node: Node, settings: CephSettings) -> Iterable[Check]:
    wanted = {"public_network": settings.public_network, "internal_network": settings.internal_network}
    for key, network in wanted.items():
        if network is not None and address_in(node, network) is None:
            yield Check(
                level="error",
                machine=node.name,
                message=f"{node.name} has no address in {network} (ceph.{key})",
                hint="give the machine an address there, or name another network",
            )


def _disks(node: Node, choices: Sequence[DiskChoice]) -> Iterable[Check]:
    for choice in choices:
        if trouble := _trouble(node, choice):
            yield Check(level="error", machine=node.name, message=trouble[0], hint=trouble[1])
    memory = node.survey.memory
    if memory and len(choices) * OSD_MEMORY > memory:
        yield Check(
            level="warning",
            machine=node.name,
            message=f"{len(choices)} OSDs would use {len(choices) * OSD_MEMORY / 2**30:.0f} GiB of memory, "
            f"{node.name} has {memory / 2**30:.0f} GiB",
            hint="afterwards: ceph config set osd osd_memory_target 2G (or what the machine can spare)",
        )


def _trouble(node: Node, choice: DiskChoice) -> tuple[str, str] | None:
    """Return what is wrong with a chosen disk, and what to do about it."""
    path, disk = choice.path, find_disk(node, choice)
    if disk is None:
        return f"there is no disk {path} on {node.name}", f"it has: {_names(node)}"
    content = disk.content or (f"{disk.partitions} partitions" if disk.partitions else "")
    troubles = (
        (choice.encrypt, f"{path}: disks of Ceph cannot be encrypted yet", "leave out `encrypt`"),
        (disk.busy, f"{path} is in use: {disk.busy}", "name another disk, or free this one"),
        (disk.read_only, f"{path} can only be read", "name another disk"),
        (
            disk.size < SMALLEST_DISK,
            f"{path} is too small: {disk.size / 10**9:.1f} GB, 5 GB at least",
            "name another disk",
        ),
        (
            content and not choice.wipe,
            f"{path} is not empty ({content})",
            "say `wipe: true` for this disk if all on it may be destroyed",
        ),
    )
    return next(((message, hint) for wrong, message, hint in troubles if wrong), None)


def _names(node: Node) -> str:
    return ", ".join(disk.device for disk in node.survey.disks if not disk.busy) or "no free disk at all"


def _versions(nodes: Sequence[Node]) -> Iterable[Check]:
    versions = {node.name: node.services["ceph"].version for node in nodes if "ceph" in node.services}
    releases = {version.partition(".")[0] for version in versions.values() if version}
    if len(releases) > 1:
        yield Check(
            level="error",
            message=f"the machines have different releases of Ceph: {_listed(versions)}",
            hint="install the same release everywhere",
        )


def _safety(
    nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]
) -> Iterable[Check]:
    hosts = [node.name for node in nodes if disks_of(node, node_settings)]
    number = copies(nodes, settings, node_settings)
    if not hosts:
        yield Check(
            level="error",
            message="no machine has a disk for Ceph",
            hint="name disks under `machines: NAME: ceph: disks:`, or leave out the section `ceph`",
        )
    elif number == 1:
        yield Check(
            level="warning",
            message=f"all data is kept once ({_machines(hosts)}): losing that disk or machine loses data. "
            "Ceph will stay at HEALTH_WARN (POOL_NO_REDUNDANCY)",
            hint="three machines with a disk each keep three copies",
        )
    elif number == 2:  # noqa: PLR2004 - two copies are one too few to lose one
        yield Check(
            level="warning",
            message=f"all data is kept 2 times ({_machines(hosts)}) and used while both copies are there "
            "(min_size 2): after the loss of one machine storage stands still until it is back",
            hint="give disks on more machines; in need `ceph osd pool set NAME min_size 1` lets one copy do",
        )
    elif number < settings.replicas:
        yield Check(
            level="warning",
            message=f"all data is kept {number} times ({_machines(hosts)}), and used while "
            f"{least_copies(number)} are there: after the loss of one machine it is not made whole again",
            hint="give disks on more machines",
        )
    if len(nodes) == 2:  # noqa: PLR2004
        yield Check(
            level="warning",
            message=f"two machines have one monitor, on {nodes[0].name}: without it storage stands still",
            hint="three machines have three monitors, of which one may fail",
        )


def _kernels(nodes: Sequence[Node], settings: CephSettings) -> Iterable[Check]:
    for ability, wanted, without in (
        ("ceph", settings.cephfs and not settings.encrypt_traffic, "no file system remote-fs is made"),
        ("rbd", True, "the pool remote is made, but its volumes cannot be used there"),
    ):
        lacking = [node.name for node in nodes if ability not in node.survey.abilities]
        if wanted and lacking:
            yield Check(
                level="warning",
                message=f"the kernel of {', '.join(lacking)} has no {ability}: {without}",
                hint="a distribution's full kernel has it; cloud and container kernels often do not",
            )


def _machines(names: Sequence[str]) -> str:
    return f"disks on {', '.join(names)} only"


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version or 'unknown'}" for name, version in versions.items())
