"""The LXD cluster itself: founding it, inviting a joiner, joining."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address

from pydantic import SecretStr

from mcloud import (
    JoinToken,
    NetworkAccess,
    Node,
    Offer,
    ServiceError,
    Step,
    StepContext,
    StorageAccess,
)
from mcloud_lxd.belongings import keep_whole, lost_by_joining
from mcloud_lxd.choice import LOCAL, Local
from mcloud_lxd.client import LxdError, server, set_config
from mcloud_lxd.cluster_client import (
    Invitation,
    forget_certificates,
    found,
    is_alive,
    is_member,
    is_settled_as,
    join,
    make_invitation,
    may_come_in,
    membership,
    remove_member,
    revoke_tokens,
)
from mcloud_lxd.given import given_disk
from mcloud_lxd.local import LocalPool, destroyed, leave_with_disk
from mcloud_lxd.looks import PORT
from mcloud_lxd.reach import is_reached, refuse_taken_port
from mcloud_lxd.readiness import IN, OUT, PATIENCE, await_lxd


def founding_step(node: Node, local: Local | None) -> Step:
    """Found a cluster of one."""
    return Step(
        name="cluster",
        run=partial(_found, node),
        probe=partial(_see_membership, node),
        undo=partial(_leave, node, local),
        loses=(f"all instances on {node.name}, and what was made in LXD there since",),
    )


def token_step(node: Node) -> Step:
    """Invite one joiner, once the founder has its part of `local` (if there is to be one)."""
    return Step(name="token", run=partial(_invite, node.name), wants=(LocalPool,), offers=(JoinToken,))


def joining_step(node: Node, nodes: Sequence[Node], local: Local | None) -> Step:
    """Join with the token and give this machine's part of `local`.

    Where there is a cloud already its networks and shared pools are entered with it: this machine has to
    have access to them first.
    """
    there = any(other.standing == "member" for other in nodes)
    return Step(
        name="member",
        run=partial(_join, node, local),
        probe=partial(_see_membership, node),
        undo=partial(_leave, node, local),
        needs=(JoinToken,),
        wants=(NetworkAccess, StorageAccess) if there else (),
        destroys=(*destroyed(node, local), *lost_by_joining(node)),
        loses=(f"all instances and volumes on {node.name}, and what was made in LXD there since",),
    )


def writing_out_step(fallen: Sequence[Node]) -> Step:
    """Write machines out of the cluster that fell out of the run after they had joined."""
    names = [node.name for node in fallen]
    return Step(name="fallen", run=partial(_write_out, names), probe=partial(_are_out, names))


def address_of(node: Node) -> str:
    """Return where LXD listens on a machine."""
    host = f"[{node.address}]" if ip_address(node.address).version == 6 else node.address  # noqa: PLR2004
    return f"{host}:{PORT}"


def _see_membership(node: Node, ctx: StepContext) -> Sequence[Offer] | None:
    with suppress(LxdError):
        if is_settled_as(ctx.host, node.name) and is_reached(ctx.host, node.address, PORT):
            return ()
    return None


def _found(node: Node, ctx: StepContext) -> None:
    _wake(ctx, node, None, patience=PATIENCE)
    if _is_in_already(ctx, node.name):
        return
    refuse_taken_port(ctx.host, node.address, PORT)
    keep_whole(ctx)
    set_config(ctx.host, {"core.https_address": address_of(node), "cluster.https_address": ""})
    found(ctx.host, node.name)


def _invite(name: str, ctx: StepContext) -> Iterable[Offer]:
    """Make the token; on a busy machine LXD's own database takes too long now and then: asked again."""
    token = ctx.wait(partial(_invitation, name, ctx), what=f"LXD to invite {name}", patience=PATIENCE)
    return [JoinToken(value=token)]


def _invitation(name: str, ctx: StepContext) -> SecretStr:
    """Return a new token; what the joiner said of itself decides what to do about an earlier try of it."""
    host = ctx.host
    if is_member(host, name):
        said = ctx.request.decode("ascii", "replace")
        if said == IN or (said != OUT and is_alive(host, name)):
            return Invitation().as_secret()
        ctx.report(f"{name} is not in, though it is listed: it is written out first")
        remove_member(host, name)
    revoke_tokens(host, name)
    forget_certificates(host, name)
    return make_invitation(host, name)


def _write_out(names: Sequence[str], ctx: StepContext) -> None:
    for name in names:
        if is_member(ctx.host, name):
            remove_member(ctx.host, name)
        revoke_tokens(ctx.host, name)
        forget_certificates(ctx.host, name)


def _are_out(names: Sequence[str], ctx: StepContext) -> Sequence[Offer] | None:
    return None if any(may_come_in(ctx.host, name) for name in names) else ()


def _join(node: Node, local: Local | None, ctx: StepContext) -> None:
    invitation = Invitation.model_validate_json(ctx.token.get_secret_value())
    # The step before has waited already.
    _wake(ctx, node, local, patience=10)
    if _is_in_already(ctx, node.name):
        if not invitation.token:
            return
        ctx.report("the others wrote this machine out meanwhile; its LXD is emptied and joins anew")
        leave_with_disk(ctx, node, local)
        await_lxd(ctx)
    if not invitation.token:
        raise ServiceError(
            f"the founder's LXD says that {node.name} is a member, the one on {node.name} that it is not",
            hint="run the same command again on this machine: the founder looks anew",
        )
    refuse_taken_port(ctx.host, node.address, PORT)
    keep_whole(ctx)
    if server(ctx.host).config.get("cluster.https_address"):
        set_config(ctx.host, {"cluster.https_address": ""})
    with given_disk(ctx, node, local) as part:
        own = {LOCAL: part} if local is not None else {}
        join(
            ctx.host,
            name=node.name,
            address=address_of(node),
            invitation=invitation,
            gives={
                "storage-pool": {**invitation.pools, **own},
                "network": {name: {"parent": _parent(name, ctx)} for name in invitation.uplinks},
            },
        )


def _parent(network: str, ctx: StepContext) -> str:
    """Return this machine's interface to an uplink that is there already."""
    for access in ctx.offers(NetworkAccess):
        if network in access.uplinks:
            return access.uplinks[network]
    raise ServiceError(
        f"the cloud has the uplink network {network}, and {ctx.host.name} names no interface for it",
        hint="give this machine its uplink interface in the file",
    )


def _is_in_already(ctx: StepContext, name: str) -> bool:
    """Whether an earlier try has got this machine into its cluster.

    Raises ServiceError if it is in a cluster that this run did not make.
    """
    again = ctx.kept("began") is not None
    ctx.keep("began", "yes")
    current = membership(ctx.host)
    if current and not (again and current == name):
        raise ServiceError(
            f"LXD on {ctx.host.name} is in a cluster already, as {current!r}",
            hint="choose another machine, or take it out of that cluster first (`lxc cluster remove`)",
        )
    return bool(current)


def _leave(node: Node, local: Local | None, ctx: StepContext) -> None:
    leave_with_disk(ctx, node, local)


def _wake(ctx: StepContext, node: Node, local: Local | None, *, patience: float) -> None:
    """Have LXD running and at rest. One that hangs in what an earlier try of ours began is emptied.

    A power cut leaves it so, and sometimes LXD 5.0 itself, when others join at the same moment.
    """
    try:
        await_lxd(ctx, patience=patience)
    except ServiceError:
        if ctx.kept("began") is None:
            raise
        ctx.report("LXD hangs since an earlier try; it is emptied")
        leave_with_disk(ctx, node, local)
        await_lxd(ctx)
