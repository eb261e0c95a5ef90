"""LXD's networks: uplink and virtual network out of what is offered, or a bridge on each machine."""

from collections.abc import Sequence
from functools import partial

from mcloud import Host, NetworkUplink, Node, Offer, ServiceError, Step, StepContext, VirtualNetworks
from mcloud_lxd.client import LxdError, server, set_config
from mcloud_lxd.everywhere import Wanted, is_made, make_everywhere, remove_everywhere
from mcloud_lxd.users import remove_users, used_elsewhere

VIRTUAL = "default"
BRIDGE = "lxdbr0"
"""LXD's own name for it. `default` cannot be had: Linux refuses an interface of that name."""

CONNECTION = "network.ovn.northbound_connection"
INTEGRATION_BRIDGE = "network.ovn.integration_bridge"

FIXED_FILES = ("/etc/ovn/ovn-central.crt", "/etc/ovn/cert_host", "/etc/ovn/key_host")
"""CA, certificate and key, where LXD without the extension `ovn_ssl_config` reads them (5.0 does)."""


def networks_step(nodes: Sequence[Node]) -> Step:
    """Make the networks: what was offered, and the one that instances get by default."""
    return Step(
        name="networks",
        run=partial(_make, nodes),
        probe=partial(_see, nodes),
        undo=_remove,
        wants=(NetworkUplink, VirtualNetworks),
    )


def default_network(virtual: Sequence[VirtualNetworks], uplinks: Sequence[NetworkUplink]) -> str:
    """Return the network that instances get by default.

    LXD 5.0 makes no virtual network without an uplink ("none" is not one of the allowed uplink networks):
    without one it is a bridge on each machine, and what is offered is only connected, for later.
    """
    return VIRTUAL if virtual and uplinks else BRIDGE


def _uplink(offer: NetworkUplink, machines: Sequence[str]) -> Wanted:
    missing = [name for name in machines if name not in offer.parents]
    if missing:
        raise ServiceError(
            f"the uplink {offer.name} names no interface of {', '.join(missing)}",
            hint="give each of these machines its uplink interface in the file",
        )
    config = {
        "ipv4.gateway": str(offer.ipv4_gateway) if offer.ipv4_gateway and offer.ipv4_range else "",
        "ipv4.ovn.ranges": offer.ipv4_range if offer.ipv4_gateway and offer.ipv4_range else "",
        "ipv6.gateway": str(offer.ipv6_gateway) if offer.ipv6_gateway else "",
        "dns.nameservers": ",".join(str(address) for address in offer.dns_servers),
    }
    return Wanted(
        kind="networks",
        name=offer.name,
        type="physical",
        config={key: value for key, value in config.items() if value},
        member_config={name: {"parent": offer.parents[name]} for name in machines},
    )


def _wanted(machines: Sequence[str], ctx: StepContext) -> Sequence[Wanted]:
    """Return the networks in the order in which they need each other."""
    uplinks = [_uplink(offer, machines) for offer in ctx.offers(NetworkUplink)]
    virtual = ctx.offers(VirtualNetworks)
    if not (virtual and uplinks):
        bridge = Wanted(kind="networks", name=BRIDGE, type="bridge")
        return [*uplinks, bridge]
    network = Wanted(
        kind="networks",
        name=VIRTUAL,
        type=virtual[0].driver,
        config={"network": uplinks[0].name},
        member_config=None,
    )
    return [*uplinks, network]


def _make(nodes: Sequence[Node], ctx: StepContext) -> None:
    for offer in ctx.offers(VirtualNetworks):
        _connect(offer, ctx)
    for wanted in _wanted([node.name for node in nodes], ctx):
        make_everywhere(ctx.host, wanted)


def _see(nodes: Sequence[Node], ctx: StepContext) -> Sequence[Offer] | None:
    machines = [node.name for node in nodes]
    try:
        made = all(is_made(ctx.host, wanted, machines) for wanted in _wanted(machines, ctx))
        config = server(ctx.host, seconds=10).config
    except LxdError:
        return None
    connected = all(config.get(CONNECTION) == offer.connection for offer in ctx.offers(VirtualNetworks))
    return () if made and connected else None


def _connect(offer: VirtualNetworks, ctx: StepContext) -> None:
    """Tell LXD where the virtual networks' service is and how to open its TLS."""
    here = server(ctx.host)
    files = (offer.ca_file, offer.certificate_file, offer.key_file)
    config = {CONNECTION: offer.connection, INTEGRATION_BRIDGE: offer.integration_bridge}
    if "ovn_ssl_config" in here.extensions:
        keys = ("network.ovn.ca_cert", "network.ovn.client_cert", "network.ovn.client_key")
        config |= {key: _content(ctx.host, path) for key, path in zip(keys, files, strict=True)}
    elif offer.connection.startswith("ssl:") and files != FIXED_FILES:
        raise ServiceError(
            f"LXD {here.version} reads its keys for virtual networks from {', '.join(FIXED_FILES)}, "
            f"and what is offered lies in {', '.join(files)}",
            hint="the plugin that offers them has to put them there; this is for its author",
        )
    ctx.keep(CONNECTION, here.config.get(CONNECTION, ""))
    ctx.keep(INTEGRATION_BRIDGE, here.config.get(INTEGRATION_BRIDGE, ""))
    set_config(ctx.host, config)


def _content(host: Host, path: str) -> str:
    content = host.read(path)
    if content is None:
        raise ServiceError(
            f"{path} is offered as a key for virtual networks, but is not on {host.name}",
            hint="see that the service that makes it has run on this machine",
        )
    return content


def _remove(ctx: StepContext) -> None:
    """Delete what this step made: by name, as offers name no machine that has left since."""
    host = ctx.host
    virtual, uplinks = ctx.offers(VirtualNetworks), ctx.offers(NetworkUplink)
    names = [default_network(virtual, uplinks), *(offer.name for offer in uplinks)]
    for name in names:
        made = Wanted(kind="networks", name=name, type="")
        # Those on this machine go with its LXD, as that step says; others' stay, and keep the network.
        remove_users(ctx, made, here_only=True)
        with used_elsewhere(host, f"/1.0/{made.path}"):
            remove_everywhere(host, made)
    if virtual:
        before = {key: ctx.kept(key) or "" for key in (CONNECTION, INTEGRATION_BRIDGE)}
        keys = {f"network.ovn.{key}": "" for key in ("ca_cert", "client_cert", "client_key")}
        newer = "ovn_ssl_config" in server(host, seconds=10).extensions
        set_config(host, before | (keys if newer else {}))
