"""What an operator can set of LXD: cloud-wide, and for one machine."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from mcloud import (
    Ask,
    Choice,
    DiskChoice,
    Node,
    Settings,
    SoFar,
    Topic,
    blank_disks,
    disk_choices,
)

LocalDriver = Literal["auto", "zfs", "btrfs", "lvm", "dir", "none"]
ProfilePolicy = Literal["keep-others", "replace", "leave"]

PROFILE_DEVICE = "default-profile:"
"""Before the name of a device in the default profile, among the features of a ServiceState."""

PROFILE_CLASH = "default-profile-has:"
"""Before a device there that is, under another name, what we would add, among the features."""


def local_disks(node: Node) -> Sequence[Choice]:
    """Return what a machine could give to `local`: beforehand its smallest blank disk, if it has others."""
    blank = blank_disks(node)
    return disk_choices(node, picked=[blank[0].device] if len(blank) > 1 else [])


def _on_some_only(so_far: SoFar) -> str:
    without = [node.name for node in so_far.nodes if node.name not in so_far.by_machine("disk")]
    if not without or len(without) == len(so_far.nodes):
        return ""
    names = ", ".join(without)
    return f"no disk was picked on {names}: there the pool `local` is a file on the root file system"


def _nowhere(so_far: SoFar) -> str:
    if so_far.by_machine("disk"):
        return ""
    return "No disk for local storage: instances kept locally share the machines' root file systems."


def _has_disks(so_far: SoFar) -> bool:
    return bool(so_far.by_machine("disk"))


def _has_profile_devices(so_far: SoFar) -> bool:
    """Whether the founder's default profile, which becomes the cloud's, has devices already."""
    state = so_far.nodes[0].services.get("lxd")
    return state is not None and any(found.startswith(PROFILE_DEVICE) for found in state.features)


class LxdSettings(Settings):
    """Cloud-wide settings of LXD: section `lxd` of the file."""

    local: Annotated[
        LocalDriver,
        Ask("Storage driver for these disks", when=_has_disks, topic=Topic.LOCAL_STORAGE, order=1),
    ] = Field(
        default="auto",
        description=(
            "Driver of the pool `local`. auto: the first of zfs, btrfs, lvm that every machine has if any "
            "machine gives a disk, else dir on the root file system; none: no such pool"
        ),
    )
    default_profile: Annotated[
        ProfilePolicy,
        Ask(
            "The default profile has devices already: keep them and add what is missing, replace, leave it",
            when=_has_profile_devices,
            topic=Topic.INSTANCES,
        ),
    ] = Field(
        default="keep-others",
        description=(
            "keep-others: add eth0 and root where the default profile has no device of that name, and none "
            "that is the same in the guest; replace: set both; leave: do not touch the profile"
        ),
    )


class LxdNode(Settings):
    """Settings of one machine: `lxd` under `each` and `machines`."""

    disk: Annotated[
        DiskChoice | None,
        Ask(
            "Which disk does each machine give to local storage?",
            choices=local_disks,
            topic=Topic.LOCAL_STORAGE,
            doubt=_on_some_only,
            remark=_nowhere,
            role="local storage",
        ),
    ] = Field(
        default=None,
        description="Whole disk for this machine's part of the pool `local`; none: its root file system",
    )
