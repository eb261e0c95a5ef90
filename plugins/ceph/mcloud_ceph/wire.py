"""Check the addresses that Ceph would speak from, and say who could listen to what it says."""

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from mcloud import Check, Node
from mcloud_ceph.layout import has_filesystem, internal_address, public_address
from mcloud_ceph.settings import CephSettings

_SPEAKS_V2 = (5, 11)
"""The first Linux whose rbd and ceph speak messenger 2 (Ceph, "mount.ceph", `ms_mode`)."""


def checks(nodes: Sequence[Node], settings: CephSettings) -> Iterable[Check]:
    """Yield what is amiss with addresses, and what is not encrypted; errors stop the run."""
    yield from _families(nodes, settings)
    if settings.encrypt_traffic:
        yield from _encrypted(nodes, settings)
    elif len(nodes) > 1:
        yield Check(
            level="warning",
            message="Ceph's traffic is not encrypted on the wire: who can listen on "
            f"{_networks(settings)} can read all data",
            hint="keep strangers off that network, or set `ceph: {encrypt_traffic: true}`",
        )


def _families(nodes: Sequence[Node], settings: CephSettings) -> Iterable[Check]:
    """Yield an error where addresses are of two kinds: Ceph binds one, and drops the other in silence."""
    public = {node.name: _version(public_address(node, settings)) for node in nodes}
    internal = {node.name: _version(internal_address(node, settings)) for node in nodes}
    if len({*public.values()}) > 1:
        yield Check(
            level="error",
            message=f"Ceph's public addresses are of different kinds: {_listed(public)}",
            hint="name one network for all machines (`ceph: {public_network: ...}`)",
        )
    elif {*public.values()} != {*internal.values()}:
        yield Check(
            level="error",
            message=f"Ceph's public network is IPv{min(public.values())}, its internal network "
            f"IPv{min(internal.values())}: Ceph speaks one of them only",
            hint="name two networks of one kind (`ceph: {public_network: ..., internal_network: ...}`)",
        )


def _encrypted(nodes: Sequence[Node], settings: CephSettings) -> Iterable[Check]:
    old = [node.name for node in nodes if (release := _release(node.survey.kernel)) and release < _SPEAKS_V2]
    if old:
        yield Check(
            level="warning",
            message=f"the kernel of {', '.join(old)} is older than 5.11 and cannot encrypt: "
            "volumes of the pool remote cannot be used there",
            hint="use a newer kernel, or leave out `encrypt_traffic`",
        )
    if has_filesystem(nodes, settings.model_copy(update={"encrypt_traffic": False})):
        yield Check(
            level="warning",
            message="no file system remote-fs is made: LXD 5.0 cannot mount one whose traffic is encrypted",
            hint="set `cephfs: false` to say so yourself, or leave out `encrypt_traffic`",
        )


def _networks(settings: CephSettings) -> str:
    named = [str(network) for network in (settings.public_network, settings.internal_network) if network]
    return " or ".join(dict.fromkeys(named)) or "the machines' network"


def _release(kernel: str) -> tuple[int, ...]:
    """Return the first two numbers of a kernel's version; nothing if it tells none."""
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else ()


def _version(address: str) -> int:
    return ip_address(address).version


def _listed(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} IPv{version}" for name, version in versions.items())
