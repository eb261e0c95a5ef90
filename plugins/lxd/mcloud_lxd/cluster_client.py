"""LXD's REST interface, the part about clusters: membership, tokens, joining."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from mcloud import Host
from mcloud_lxd.client import LxdError, Member, ask, call, look, remove, server, things

Kind = Literal["storage-pool", "network"]
Given = Mapping[str, Mapping[str, str]]
"""What one machine gives, by name of the pool or network and key."""


class Invitation(BaseModel):
    """What a joiner needs: our join token's content. Without a `token` the seat says: you are in."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    address: str = ""
    certificate: str = ""
    """The cluster's, PEM: it came over mcloud's own channel, so the joiner need not fetch it."""
    token: str = ""
    pools: Mapping[str, Mapping[str, str]] = {}
    """What each member has to give to the pools that are there already, `local` aside, by pool and key."""
    uplinks: tuple[str, ...] = ()
    """Networks that are there already, to which each member has to give an interface of its own."""

    def as_secret(self) -> SecretStr:
        """Return it as it travels."""
        return SecretStr(self.model_dump_json())


SHARED = frozenset({"ceph", "cephfs"})
"""Storage drivers of LXD whose pools are the same for all members."""


def membership(host: Host, *, seconds: float = 10) -> str:
    """Return this machine's name in the LXD cluster it is in; "" if in none."""
    said = call(host, "GET", "/1.0/cluster", seconds=seconds)
    return str(said["server_name"]) if said["enabled"] else ""


def is_settled_as(host: Host, name: str) -> bool:
    """Whether this machine is in a cluster under `name`, and the cluster knows it.

    LXD calls itself a member about a second before its join has ended, well or badly; only then
    can it be asked what the cluster knows.
    """
    return membership(host) == name and is_member(host, name)


def is_at_rest(host: Host) -> bool:
    """Whether LXD is not founding or joining a cluster just now.

    A member is: it lists the operations of all members, which say nothing of it.
    """
    return bool(membership(host)) or not any(
        operation["class"] == "task" and "cluster" in (operation.get("resources") or {})
        for operation in _running(host)
    )


def members(host: Host, *, seconds: float = 10) -> Sequence[Member]:
    """Return the members of the cluster, by name. Their status may be 20 seconds old."""
    return sorted(
        (
            Member(one["server_name"], one["status"], "database-leader" in (one.get("roles") or ()))
            for one in things(host, "cluster/members", seconds=seconds)
        ),
        key=lambda member: member.name,
    )


def found(host: Host, name: str) -> None:
    """Found a cluster of one; `core.https_address` must be set."""
    call(host, "PUT", "/1.0/cluster", {"server_name": name, "enabled": True}, seconds=60)


def join(host: Host, *, name: str, address: str, invitation: Invitation, gives: Mapping[Kind, Given]) -> None:
    """Join a cluster; `gives` is this machine's own part of the cluster's pools and networks."""
    given = [
        {"entity": kind, "name": thing, "key": key, "value": value}
        for kind, things in gives.items()
        for thing, config in things.items()
        for key, value in config.items()
    ]
    explicit = "explicit_trust_token" in server(host).extensions
    body = {
        "server_name": name,
        "enabled": True,
        "server_address": address,
        "cluster_address": invitation.address,
        "cluster_certificate": invitation.certificate,
        "cluster_token" if explicit else "cluster_password": invitation.token,
        "member_config": given,
    }
    call(host, "PUT", "/1.0/cluster", body, seconds=90)


def remove_member(host: Host, name: str, *, seconds: float = 20) -> None:
    """Write a member out of the cluster by force; its own LXD is not reset by that."""
    remove(host, f"cluster/members/{name}?force=1", seconds=seconds)


def is_alive(host: Host, name: str) -> bool:
    """Whether a member answers the others under its name."""
    try:
        return server(host, member=name, seconds=5).name == name
    except LxdError:
        return False


def is_member(host: Host, name: str) -> bool:
    """Whether the cluster lists a machine."""
    return look(host, f"/1.0/cluster/members/{name}", seconds=10) is not None


def make_invitation(host: Host, name: str) -> SecretStr:
    """Make a join token for one machine, and return it with all else that it needs, as JSON."""
    made = ask(host, "POST", "/1.0/cluster/members", {"server_name": name})["metadata"]["metadata"]
    here = server(host)
    token = {
        "server_name": made["serverName"],
        "fingerprint": made["fingerprint"],
        "addresses": made["addresses"],
        "secret": made["secret"],
        "expires_at": made["expiresAt"],
    }
    text = base64.b64encode(json.dumps(token).encode()).decode()
    address = here.config.get("cluster.https_address") or here.config["core.https_address"]
    return Invitation(
        address=address,
        certificate=here.certificate,
        token=text,
        pools=_pools_to_enter(host, here.extensions),
        uplinks=_uplinks(host),
    ).as_secret()


def _uplinks(host: Host) -> tuple[str, ...]:
    networks = things(host, "networks")
    return tuple(one["name"] for one in networks if one["type"] == "physical" and one["managed"])


def _pools_to_enter(host: Host, extensions: frozenset[str]) -> Given:
    """Return what a joiner gives to pools on shared storage: LXD has their source on each member."""
    if "storage_remote_drop_source" in extensions:
        return {}
    shared = [one["name"] for one in things(host, "storage-pools") if one["driver"] in SHARED]
    me = membership(host)
    return {
        name: {"source": str(call(host, "GET", f"/1.0/storage-pools/{name}?target={me}")["config"]["source"])}
        for name in shared
    }


def may_come_in(host: Host, name: str) -> bool:
    """Whether a machine is a member, or has what it takes to become one without being asked."""
    return is_member(host, name) or bool(_tokens(host, name) or _certificates(host, name))


def revoke_tokens(host: Host, name: str) -> None:
    """Revoke every unused token made for a machine."""
    for token in _tokens(host, name):
        remove(host, f"operations/{token}")


def forget_certificates(host: Host, name: str) -> None:
    """Take a machine that is no member out of the trust store: a join that failed leaves it there."""
    for fingerprint in _certificates(host, name):
        remove(host, f"certificates/{fingerprint}")


def _tokens(host: Host, name: str) -> Sequence[str]:
    """Return the operations that stand for a machine's unused tokens."""
    return [
        str(operation["id"])
        for operation in _running(host)
        if operation["class"] == "token" and (operation["metadata"] or {}).get("serverName") == name
    ]


def _certificates(host: Host, name: str) -> Sequence[str]:
    """Return the fingerprints under which a machine's LXD is trusted."""
    return [
        str(certificate["fingerprint"])
        for certificate in things(host, "certificates")
        if certificate["type"] == "server" and certificate["name"] == name
    ]


def _running(host: Host) -> Sequence[Mapping[str, Any]]:
    """Return the operations that have not ended, tokens that wait to be used among them."""
    by_status: Mapping[str, Any] = call(host, "GET", "/1.0/operations?recursion=1", seconds=10) or {}
    found: Sequence[Mapping[str, Any]] = by_status.get("running", ())
    return found
