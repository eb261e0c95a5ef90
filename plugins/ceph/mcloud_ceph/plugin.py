"""Ceph: block devices and a file system that all machines reach, on disks of their own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from mcloud import API, Check, Host, JoinToken, Manifest, Node, ServiceState, Step, hookimpl
from mcloud_ceph import (
    access,
    daemons,
    health,
    inspection,
    monitors,
    osds,
    pools,
    readiness,
    replication,
    tokens,
)
from mcloud_ceph.layout import (
    comes_back,
    copies,
    disks_of,
    has_filesystem,
    runs_monitor,
)
from mcloud_ceph.reset import steps
from mcloud_ceph.settings import CephNode, CephSettings

Own = Mapping[str, CephNode]


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(
        api=API,
        summary="Ceph: storage shared by all machines, kept several times",
        settings=CephSettings,
        node_settings=CephNode,
        release_parts=1,
        packages={"debian": inspection.PACKAGES, "ubuntu": inspection.PACKAGES},
        units=("ceph-*", "ceph.*"),
        shows=(("ceph", "--connect-timeout", "10", "-s"),),
    )


@hookimpl
def inspect(host: Host) -> ServiceState:
    """Say what there is of Ceph on this machine."""
    return inspection.inspect(host)


@hookimpl
def preflight(nodes: Sequence[Node], settings: CephSettings, node_settings: Own) -> Iterable[Check]:
    """Check packages, earlier clusters, disks, networks and kernels of all machines."""
    return readiness.checks(nodes, settings, node_settings)


@hookimpl
def bootstrap(
    node: Node, nodes: Sequence[Node], settings: CephSettings, node_settings: Own
) -> Iterator[Step]:
    """Found a cluster of one monitor and one manager."""
    yield monitors.found(node, nodes, settings, node_settings)


@hookimpl
def issue_token(node: Node, nodes: Sequence[Node], node_settings: Own) -> Iterator[Step]:
    """Make the keys that one joiner needs."""
    run = partial(tokens.issue, node=node, nodes=nodes, node_settings=node_settings)
    yield Step(name="token", run=run, offers=(JoinToken,))


@hookimpl
def join(node: Node, nodes: Sequence[Node], settings: CephSettings, node_settings: Own) -> Iterator[Step]:
    """Give this machine access, an OSD on each of its disks, and a monitor if it is among the first three."""
    back = comes_back(node, nodes)
    yield access.access(node, nodes, settings)
    if disks := disks_of(node, node_settings):
        yield from (osds.make(node, disk, back=back) for disk in disks)
        yield osds.up(node, disks)
    if runs_monitor(node, nodes):
        # After the OSDs, which need the quorum that each new monitor interrupts.
        if not node.founder:
            yield monitors.join(node, back=back)
        if has_filesystem(nodes, settings):
            yield daemons.metadata_server(node)


@hookimpl
def configure(
    nodes: Sequence[Node], settings: CephSettings, node_settings: Own, fallen: Sequence[Node]
) -> Iterator[Step]:
    """Make the pools, and end with a sound cluster."""
    yield replication.converge(nodes, settings, node_settings, fallen)
    yield pools.pool()
    if has_filesystem(nodes, settings):
        yield pools.filesystem()
    yield health.sound(copies(nodes, settings, node_settings), node_settings=node_settings, fallen=fallen)


@hookimpl
def adapt(node: Node, nodes: Sequence[Node], settings: CephSettings) -> Iterator[Step]:
    """Bring in what can come late: the list of monitors as it became, and the managers that stand by."""
    yield access.known_monitors(nodes, settings)
    if not runs_monitor(node, nodes):
        yield monitors.leave(node)
    elif not node.founder:
        yield daemons.manager(node)


@hookimpl
def reset(disks: str) -> Iterator[Step]:
    """End Ceph on this machine."""
    return steps(wipe=disks == "wipe")
