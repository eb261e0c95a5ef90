"""LXD: a cluster of all machines, with the pools, networks and profile that instances need."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mcloud import Check, Host, Manifest, Node, ServiceState, Step, hookimpl
from mcloud_lxd.availability import availability_step
from mcloud_lxd.checks import check
from mcloud_lxd.choice import choose_local
from mcloud_lxd.cluster import founding_step, joining_step, token_step, writing_out_step
from mcloud_lxd.local import pool_step, volumes_step
from mcloud_lxd.looks import look_at
from mcloud_lxd.networks import networks_step
from mcloud_lxd.profile import profile_step
from mcloud_lxd.readiness import ready_step
from mcloud_lxd.remote import remote_step
from mcloud_lxd.reset import steps
from mcloud_lxd.settings import LxdNode, LxdSettings

NodeSettings = Mapping[str, LxdNode]


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(
        api=1,
        summary="LXD cluster for containers and virtual machines",
        settings=LxdSettings,
        node_settings=LxdNode,
        release_parts=2,
        # Of several members that join LXD 5.0.2 at the same moment, one may wait for its database for ever.
        joins_at_once=1,
        packages={"debian": ("lxd", "lxd-client", "btrfs-progs")},
        shows=(
            ("lxc", "cluster", "list"),
            ("lxc", "storage", "list"),
            ("lxc", "network", "list"),
            ("lxc", "profile", "show", "default"),
        ),
        units=("lxd.*", "lxd-*", "snap.lxd.*"),
        next_steps=("`lxc launch IMAGE NAME` starts an instance",),
    )


@hookimpl
def inspect(host: Host) -> ServiceState:
    """Look at this machine's LXD."""
    return look_at(host)


@hookimpl
def preflight(nodes: Sequence[Node], settings: LxdSettings, node_settings: NodeSettings) -> Iterable[Check]:
    """Refuse machines whose LXD is in use, and disks that cannot be taken."""
    return check(nodes, settings, node_settings)


@hookimpl
def bootstrap(
    node: Node,
    nodes: Sequence[Node],
    settings: LxdSettings,
    node_settings: NodeSettings,
    fallen: Sequence[Node],
) -> Iterator[Step]:
    """Found a cluster of one."""
    yield founding_step(node, choose_local((*nodes, *fallen), settings, node_settings))


@hookimpl
def issue_token(node: Node) -> Iterator[Step]:
    """Invite one joiner."""
    yield token_step(node)


@hookimpl
def join(
    node: Node,
    nodes: Sequence[Node],
    settings: LxdSettings,
    node_settings: NodeSettings,
    fallen: Sequence[Node],
) -> Iterator[Step]:
    """Join, and give this machine's part of `local`, the founder first."""
    local = choose_local((*nodes, *fallen), settings, node_settings)
    if not node.founder:
        yield ready_step(node)
        yield joining_step(node, nodes, local)
        if any(other.standing == "member" for other in nodes):
            yield availability_step(node)
    elif local is not None:
        yield pool_step(node, local)


@hookimpl
def configure(
    nodes: Sequence[Node], settings: LxdSettings, node_settings: NodeSettings, fallen: Sequence[Node]
) -> Iterator[Step]:
    """Make the networks and shared pools out of what is offered, and the default profile.

    Networks first: what they want is offered long before storage is.
    """
    if fallen:
        yield writing_out_step(fallen)
    local = choose_local((*nodes, *fallen), settings, node_settings)
    yield networks_step(nodes)
    yield remote_step(nodes)
    if settings.default_profile != "leave":
        yield profile_step(nodes, settings.default_profile, local)


@hookimpl
def adapt(
    node: Node,
    nodes: Sequence[Node],
    settings: LxdSettings,
    node_settings: NodeSettings,
    fallen: Sequence[Node],
) -> Iterator[Step]:
    """Put LXD's own volumes on this machine's part of `local`, when all members know each other."""
    if choose_local((*nodes, *fallen), settings, node_settings) is not None:
        yield volumes_step(node)


@hookimpl
def reset(disks: str) -> Iterator[Step]:
    """End LXD on this machine."""
    return steps(wipe=disks == "wipe")
