"""Pools and networks of the whole cluster: pending on each member first, then made on all at once."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from mcloud import Host, ServiceError
from mcloud_lxd.client import look, make, remove
from mcloud_lxd.cluster_client import members

MARK = "user.mcloud"
"""Key at a device, a network or a pool that is ours: LXD leaves keys that begin with `user.` to others."""

Kind = Literal["storage-pools", "networks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A pool or network as it shall be."""

    kind: Kind
    name: str
    type: str
    """LXD's storage driver, or type of network."""
    description: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    """The same on every member."""
    member_config: Mapping[str, Mapping[str, str]] | None = field(default_factory=dict)
    """By member, its own part. None: this type has no such part and is made in one go."""

    @property
    def path(self) -> str:
        """Where it is, under `/1.0/`."""
        return f"{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        """What LXD calls the type."""
        return "driver" if self.kind == "storage-pools" else "type"


def is_made(host: Host, wanted: Wanted, machines: Sequence[str]) -> bool:
    """Whether it is there and whole on all these machines. A name alone says nothing: see its status."""
    there = look(host, f"/1.0/{wanted.path}", seconds=10)
    return (
        there is not None
        and there["status"] == "Created"
        and there[wanted.key] == wanted.type
        and set(machines) <= set(there.get("locations") or machines)
    )


def make_everywhere(host: Host, wanted: Wanted, *, clear: Callable[[], None] = lambda: None) -> None:
    """Make it on all members. What an earlier try left pending or failed is removed first.

    `clear` is called when LXD knows nothing of it, to remove what it left behind all the same.
    """
    there = look(host, f"/1.0/{wanted.path}")
    if there is not None and there["status"] == "Created":
        if there[wanted.key] == wanted.type:
            return
        raise ServiceError(
            f"LXD has a {there[wanted.key]} of the name {wanted.name!r} among its {wanted.kind}, "
            f"a {wanted.type} is wanted",
            hint=f"rename or delete it (`lxc {'storage' if wanted.key == 'driver' else 'network'}`), "
            "then run the same command again",
        )
    if there is not None:
        remove(host, wanted.path)
    clear()
    body: dict[str, object] = {"name": wanted.name, wanted.key: wanted.type}
    if wanted.member_config is not None:
        _make_pending(host, wanted, body)
    config = {**wanted.config, MARK: "yes"}
    make(host, wanted.kind, {**body, "description": wanted.description, "config": config})


def _make_pending(host: Host, wanted: Wanted, body: Mapping[str, object]) -> None:
    """Tell LXD each member's part, side by side. The members are LXD's own: it accepts no others."""
    names = [member.name for member in members(host)]
    own = wanted.member_config or {}
    with ThreadPoolExecutor(max_workers=8) as pool:
        tasks = [
            pool.submit(make, host, wanted.kind, {**body, "config": dict(own.get(name, {}))}, member=name)
            for name in names
        ]
    for task in tasks:
        task.result()


def remove_everywhere(host: Host, wanted: Wanted) -> None:
    """Delete it from all members if it bears our mark, or was never made to its end."""
    there = look(host, f"/1.0/{wanted.path}", seconds=30)
    if there is not None and (MARK in there["config"] or there["status"] != "Created"):
        remove(host, wanted.path, seconds=30)
