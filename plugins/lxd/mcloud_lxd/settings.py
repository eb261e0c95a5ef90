"""What an operator can set of LXD: cloud-wide, and for one machine."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from mcloud import Ask, DiskChoice, Settings, Survey

LocalDriver = Literal["auto", "zfs", "btrfs", "lvm", "dir", "none"]
ProfilePolicy = Literal["keep-others", "replace", "leave"]


def free_disks(survey: Survey) -> Sequence[str]:
    """Return the disks that could be taken, by path."""
    return [disk.device for disk in survey.disks if not disk.busy and not disk.read_only]


class LxdSettings(Settings):
    """Cloud-wide settings of LXD: section `lxd` of the file."""

    local: Annotated[LocalDriver, Ask("Storage driver of the pool `local`")] = Field(
        default="auto",
        description=(
            "Driver of the pool `local`. auto: the first of zfs, btrfs, lvm that every machine has if any "
            "machine gives a disk, else dir on the root file system; none: no such pool"
        ),
    )
    default_profile: Annotated[ProfilePolicy, Ask("What about devices already in the default profile")] = (
        Field(
            default="keep-others",
            description=(
                "keep-others: add eth0 and root where the default profile has no device of that name; "
                "replace: set both; leave: do not touch the profile"
            ),
        )
    )


class LxdNode(Settings):
    """Settings of one machine: `lxd` under `each` and `machines`."""

    disk: Annotated[DiskChoice | None, Ask("Disk for the pool `local`", choices=free_disks)] = Field(
        default=None,
        description="Whole disk for this machine's part of the pool `local`; none: its root file system",
    )
