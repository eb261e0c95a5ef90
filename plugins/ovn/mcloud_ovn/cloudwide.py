"""Steps for the cloud as a whole: everybody is in, and what virtual networks others may now use."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from mcloud import NetworkUplink, Node, Offer, ServiceError, Step, StepContext, VirtualNetworks
from mcloud_ovn.client import DATABASES, NB, SB, Database, Raft, kick, northbound, raft, tunnel_addresses
from mcloud_ovn.files import AUTHORITY, CERTIFICATE, KEY
from mcloud_ovn.roles import (
    INTEGRATION_BRIDGE,
    UPLINK,
    bracketed,
    remotes,
    servers,
    tunnel_address,
    uplink_parent,
)
from mcloud_ovn.settings import OvnNode, OvnSettings

SYNC_SECONDS = 30


def gather_servers(fallen: Sequence[Node]) -> Step:
    """See that both rafts work, and put out servers of machines that fell out of the run.

    Who is in it and is to serve has joined before, or does so in `adapt`; who is not, leaves there.
    """
    return Step(name="servers", run=partial(_put_out, fallen), probe=partial(_are_out, fallen))


def gather_chassis(nodes: Sequence[Node], node_settings: Mapping[str, OvnNode]) -> Step:
    """See that all machines' controllers are registered."""
    wanted = frozenset(tunnel_address(node, node_settings) for node in nodes)
    remote = remotes(servers(nodes), SB)
    return Step(
        name="chassis",
        run=partial(_gather_chassis, wanted, remote),
        probe=partial(_all_chassis, wanted, remote),
    )


def open_networks(nodes: Sequence[Node], settings: OvnSettings, node_settings: Mapping[str, OvnNode]) -> Step:
    """See that a change goes through all of OVN, and offer its networks."""
    remote = remotes(servers(nodes), NB)
    networks = VirtualNetworks(
        driver="ovn",
        connection=remote,
        integration_bridge=INTEGRATION_BRIDGE,
        ca_file=AUTHORITY,
        certificate_file=CERTIFICATE,
        key_file=KEY,
    )
    uplink = uplink_of(nodes, settings, node_settings)
    offers = (networks, uplink) if uplink else (networks,)
    return Step(
        name="networks",
        run=partial(_sync, remote),
        probe=partial(_synced, remote, offers),
        offers=(VirtualNetworks, NetworkUplink),
    )


def uplink_of(
    nodes: Sequence[Node], settings: OvnSettings, node_settings: Mapping[str, OvnNode]
) -> NetworkUplink | None:
    """Return the uplink; None without a gateway, or where a machine has no interface for it."""
    parents = {node.name: uplink_parent(node, node_settings) for node in nodes}
    if not all(parents.values()) or not (settings.ipv4_gateway or settings.ipv6_gateway):
        return None
    return NetworkUplink(
        name=UPLINK,
        parents=parents,
        ipv4_gateway=settings.ipv4_gateway,
        ipv4_range=settings.ipv4_range,
        ipv6_gateway=settings.ipv6_gateway,
        dns_servers=settings.dns_servers,
    )


def _put_out(fallen: Sequence[Node], ctx: StepContext) -> None:
    for database in DATABASES:
        state = raft(ctx.host, database)
        for server in _servers_of(fallen, state, database) if state else ():
            kick(ctx.host, database, server)
    ctx.wait(lambda: _are_out(fallen, ctx), what="both databases' servers to agree on who they are")


def _are_out(fallen: Sequence[Node], ctx: StepContext) -> Sequence[Offer] | None:
    for database in DATABASES:
        state = raft(ctx.host, database)
        if state is None or not state.settled or _servers_of(fallen, state, database):
            return None
    return ()


def _servers_of(machines: Sequence[Node], state: Raft, database: Database) -> Sequence[str]:
    theirs = {f"ssl:{bracketed(node.address)}:{database.raft_port}" for node in machines}
    return [server for address, server in state.servers.items() if address in theirs]


def _gather_chassis(wanted: frozenset[str], remote: str, ctx: StepContext) -> None:
    def registered() -> int:
        return len(wanted & tunnel_addresses(ctx.host, remote))

    try:
        ctx.wait(
            lambda: _all_chassis(wanted, remote, ctx),
            what="all machines' controllers to register",
            progress=registered,
        )
    except ServiceError as error:
        raise _not_registered(wanted, remote, ctx, error) from error


def _not_registered(
    wanted: frozenset[str], remote: str, ctx: StepContext, error: ServiceError
) -> ServiceError:
    """Return what is said where not all came: who is missing, and that cloned machines take turns."""
    with suppress(ServiceError):
        missing = ", ".join(sorted(wanted - tunnel_addresses(ctx.host, remote))) or "nobody just now"
        return ServiceError(
            f"{error}; missing: {missing}",
            hint="if another one is missing each time, these machines were cloned and have one identity in "
            "Open vSwitch: compare `ovs-vsctl get Open_vSwitch . external_ids:system-id`. Else look at "
            "`journalctl -u ovn-controller` on those that are missing",
        )
    return error


def _all_chassis(wanted: frozenset[str], remote: str, ctx: StepContext) -> Sequence[Offer] | None:
    with suppress(ServiceError):
        return () if wanted <= tunnel_addresses(ctx.host, remote) else None
    return None


def _sync(remote: str, ctx: StepContext) -> None:
    northbound(ctx.host, remote, "--wait=sb", "sync", seconds=SYNC_SECONDS)


def _synced(remote: str, offers: Sequence[Offer], ctx: StepContext) -> Sequence[Offer] | None:
    with suppress(ServiceError):
        asked, done = northbound(ctx.host, remote, "get", "NB_Global", ".", "nb_cfg", "sb_cfg").split()
        return offers if int(done) >= int(asked) > 0 else None
    return None
