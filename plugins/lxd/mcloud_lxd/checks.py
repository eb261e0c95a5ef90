"""Findings over all machines before any change: the plugin's `preflight`."""

from collections.abc import Iterator, Mapping, Sequence

from mcloud import Check, DiskChoice, Node, ServiceState, find_disk, obstacle_checks
from mcloud_lxd.belongings import OWN
from mcloud_lxd.choice import KERNEL_NEEDS, LOCAL, Local, choose_local, has_driver, lacking
from mcloud_lxd.looks import ADDRESS_KEPT, CERTIFICATE
from mcloud_lxd.machine import FOLDER
from mcloud_lxd.settings import PROFILE_CLASH, LxdNode, LxdSettings

SHARED_DRIVERS = {
    "ceph": "instances' root disks stay on pool `local`",
    "cephfs": "pools of that driver are left out",
}
"""Storage drivers of LXD for shared storage, and what happens where the kernel cannot use their volumes."""

SMALLEST_SAFE = 3
"""Machines: LXD's database outlives one of three, but not one of two, which have one voter."""


def check(
    nodes: Sequence[Node], settings: LxdSettings, node_settings: Mapping[str, LxdNode]
) -> Iterator[Check]:
    """Yield what speaks against a run, and what it will come out as."""
    for node in nodes:
        yield from _service(node, node.services.get("lxd"))
        yield from _left(node)
    yield from _versions(nodes)
    yield from _clones(nodes)
    yield from _profile(nodes[0], settings)
    local = choose_local(nodes, settings, node_settings)
    yield from _local(nodes, settings, local)
    for name, disk in (local.disks if local is not None else {}).items():
        node = next(node for node in nodes if node.name == name)
        yield from _disk(node, disk)
    yield from _kernels(nodes)
    yield from _safety(nodes)


def _service(node: Node, state: ServiceState | None) -> Iterator[Check]:
    if state is None or not state.installed:
        missing = state.missing if state is not None and state.missing else ("lxd", "lxd-client")
        yield Check(
            level="error",
            machine=node.name,
            message=f"not installed: {', '.join(missing)}",
            hint=f"`apt-get install {' '.join(missing)}`, or run the command again with `--install`",
        )
    elif state.standing == "clustered":
        others = ", ".join(state.members) or state.note or "members unknown"
        yield Check(
            level="error",
            machine=node.name,
            message=f"LXD is in a cluster already ({others})",
            hint=f"choose another machine, or take it out first (`lxc cluster remove {node.name}`)",
        )
    elif state.standing == "alone":
        yield Check(
            level="error",
            machine=node.name,
            message=f"LXD is in use: {state.note}",
            hint="move that elsewhere and delete it, or choose another machine: joining a cluster loses it",
        )
    else:
        if state.note:
            yield Check(level="warning", machine=node.name, message=f"LXD could not be asked: {state.note}")
        yield from obstacle_checks(node, state)


def _versions(nodes: Sequence[Node]) -> Iterator[Check]:
    by_version: dict[str, list[str]] = {}
    for node in nodes:
        state = node.services.get("lxd")
        if state is not None and state.version:
            by_version.setdefault(state.version, []).append(node.name)
    if len(by_version) > 1:
        said = "; ".join(f"{version} on {', '.join(names)}" for version, names in sorted(by_version.items()))
        yield Check(
            level="error",
            message=f"LXD's versions differ: {said}",
            hint="bring all machines to the same version: members wait for each other's upgrade",
        )


def _clones(nodes: Sequence[Node]) -> Iterator[Check]:
    """Find machines whose LXD has the same certificate: a cluster would take them for one."""
    by_certificate: dict[str, list[str]] = {}
    for node in nodes:
        for fingerprint in _features(node, CERTIFICATE):
            by_certificate.setdefault(fingerprint, []).append(node.name)
    for fingerprint, names in by_certificate.items():
        if fingerprint and len(names) > 1:
            files = f"{FOLDER}/server.crt {FOLDER}/server.key"
            yield Check(
                level="error",
                message=f"LXD on {', '.join(names)} has the same certificate ({fingerprint[:12]}...), "
                "as clones of one machine have: a cluster would take them for one",
                hint=f"on {', '.join(names[1:])}: `systemctl stop lxd.service lxd.socket && rm {files} && "
                "systemctl start lxd.socket` makes a new one",
            )


def _profile(founder: Node, settings: LxdSettings) -> Iterator[Check]:
    """Say where the founder's default profile has under another name what instances would get from us."""
    clashes = _features(founder, PROFILE_CLASH)
    if clashes and settings.default_profile != "leave":
        kept = settings.default_profile == "keep-others"
        named = ", ".join("{0} as the guest's {2}".format(*clash.partition("=")) for clash in clashes)
        yield Check(
            level="warning",
            machine=founder.name,
            message=f"the default profile of LXD has {named}: "
            + ("it stays, and instances get that" if kept else "it gives way until `mcloud undo`"),
            hint="`lxd: {default_profile: replace}` gives instances the cloud's" if kept else "",
        )


def _left(node: Node) -> Iterator[Check]:
    """Say what is left of a cluster that a machine was in, and what it holds that its operator made."""
    for address in _features(node, ADDRESS_KEPT):
        yield Check(
            level="warning",
            machine=node.name,
            message=f"LXD kept cluster.https_address {address} of a cluster that it has left",
            hint="it is unset, as it would go before the address of this one; `mcloud undo` brings it back",
        )
    if (own := _features(node, OWN)) and node.founder:
        yield Check(level="ok", machine=node.name, message=f"all machines will have of LXD: {', '.join(own)}")


def _features(node: Node, start: str) -> Sequence[str]:
    state = node.services.get("lxd")
    return [one.removeprefix(start) for one in (state.features if state else ()) if one.startswith(start)]


def _local(nodes: Sequence[Node], settings: LxdSettings, local: Local | None) -> Iterator[Check]:
    if local is None:
        yield Check(
            level="warning", message=f"no pool `{LOCAL}`: instances need a pool that another service offers"
        )
        return
    lack = lacking(local.driver, nodes) if local.driver != "dir" else ()
    if settings.local != "auto" and lack:
        yield Check(
            level="error",
            message=f"pool `{LOCAL}`: LXD or the kernel lacks {local.driver} on {', '.join(lack)}",
            hint="set `lxd: {local: auto}`, or install what is missing there",
        )
    if local.why:
        yield Check(level="warning", message=f"pool `{LOCAL}` goes to the root file system: {local.why}")
    elif local.driver == "dir":
        yield Check(
            level="warning",
            message=f"pool `{LOCAL}` goes to the machines' root file systems: no quotas, slow snapshots",
            hint="give each machine a disk: `machines: {n1: {lxd: {disk: /dev/...}}}`",
        )
    elif bare := [node.name for node in nodes if node.name not in local.disks]:
        yield Check(
            level="warning",
            message=f"pool `{LOCAL}` is a file on the root file system of {', '.join(bare)}: no disk given",
            hint="give each machine a disk: `machines: {n1: {lxd: {disk: /dev/...}}}`",
        )
    yield Check(level="ok", message=f"pool `{LOCAL}` will use {local.driver}")


def _disk(node: Node, choice: DiskChoice) -> Iterator[Check]:
    def wrong(what: str, hint: str) -> Check:
        return Check(level="error", machine=node.name, message=f"{choice.path}: {what}", hint=hint)

    disk = find_disk(node, choice)
    if choice.encrypt:
        yield wrong("pool `local` cannot be encrypted", "leave out `encrypt` for it")
    if disk is None:
        there = ", ".join(one.device for one in node.survey.disks) or "none"
        yield wrong("no such disk", f"disks of this machine: {there}")
    elif disk.busy:
        yield wrong(f"it is in use: {disk.busy}", "choose another disk, or free this one")
    elif disk.read_only:
        yield wrong("it is read-only", "choose another disk")
    elif (disk.content or disk.partitions) and not choice.wipe:
        held = disk.content or f"{disk.partitions} partitions"
        yield wrong(f"it holds {held}", "set `wipe: true` for it if that may be destroyed")


def _kernels(nodes: Sequence[Node]) -> Iterator[Check]:
    for driver, consequence in SHARED_DRIVERS.items():
        need = KERNEL_NEEDS[driver]
        lack = [node.name for node in nodes if has_driver(driver, node) and need not in node.survey.abilities]
        if lack:
            yield Check(
                level="warning",
                message=f"no {driver} volumes, as {need!r} is lacking on {', '.join(lack)}: {consequence}",
            )


def _safety(nodes: Sequence[Node]) -> Iterator[Check]:
    if len(nodes) < SMALLEST_SAFE:
        what = (
            "if it is lost, all is" if len(nodes) == 1 else "if the first is down, the other's LXD stops too"
        )
        yield Check(
            level="warning",
            message=f"LXD's database on {len(nodes)} machine{'s' if len(nodes) > 1 else ''}: {what}",
            hint=f"from {SMALLEST_SAFE} machines on it outlives the loss of any one",
        )
