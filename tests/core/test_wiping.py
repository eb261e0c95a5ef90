"""A disk is wiped at both ends and wherever copies lie, and proven clean by reading it back."""

import json
import re

import pytest

from mcloud import Result, ServiceError
from mcloud.host import Samples
from mcloud.survey.samples import places
from mcloud.testing import FakeHost
from mcloud.wiping import close_built_on, traces, wipe

MIB, GIB = 2**20, 2**30


class Open:
    """An open device that remembers what was written, and shows what it is told to."""

    def __init__(self, size=10 * GIB, shows="zeros", end=b""):
        self.number, self.size, self.node = "8:16", size, "/proc/1/fd/3"
        self.shows, self.end, self.zeroed = shows, end, []

    def zero(self, wanted):
        self.zeroed += wanted

    def sample(self, wanted):
        return Samples(tuple(self.shows for _ in wanted), "")

    def read(self, at, count):
        return self.end[:count] if self.size - at <= 4096 else bytes(count)


def machine(files=(), **said):
    """Return a machine; `said` is what commands answer, by name."""
    answers = {"wipefs": "", "blkid": Result(2, "", ""), "lsblk": "", **said}
    host = FakeHost(answer=lambda call: answers.get(call[0], ""))
    for path, text in dict(files).items():
        host.write(path, text)
    return host


@pytest.mark.parametrize("size", [MIB, 40 * MIB, 50 * MIB, 10 * GIB + 512, 11 * GIB, 2**41])
def test_wiping_stays_on_the_disk_and_reaches_both_ends_and_all_copies(size):
    disk = Open(size)
    wipe(machine(), disk)
    ranges = [(at, at + count) for at, count in disk.zeroed]
    assert (min(ranges)[0], max(end for _start, end in ranges)) == (0, size)
    copies = [at for at in (64 * MIB, GIB, 10 * GIB, 100 * GIB, 256 * GIB, 1000 * GIB) if at + MIB <= size]
    assert all(any(start <= at < end for start, end in ranges) for at in copies)
    assert all(any(start <= at < end for start, end in ranges) for at, _count in places(size))


def test_the_start_goes_last_as_it_tells_whose_the_rest_is():
    disk = Open()
    wipe(machine(), disk)
    assert disk.zeroed[-1] == (0, 32 * MIB)


def test_partitions_are_wiped_too():
    folder = "/sys/dev/block/8:16"
    files = {f"{folder}/uevent": "DEVNAME=sdb\nDEVTYPE=disk\n"}
    files |= {f"{folder}/sdb1/{name}": text for name, text in {"partition": "1", "start": "4194304"}.items()}
    disk = Open()
    wipe(machine({**files, f"{folder}/sdb1/size": "4194304"}), disk)
    assert {(2 * GIB, 32 * MIB), (4 * GIB - 10 * MIB, 10 * MIB)} <= set(disk.zeroed)


def built(*children, mountpoints=()):
    device = {"name": "/dev/sdb", "type": "disk", "mountpoints": list(mountpoints), "children": children}
    return machine(lsblk=json.dumps({"blockdevices": [device]}))


def test_what_is_built_on_it_is_closed_first_the_highest_first():
    volume = {"name": "/dev/mapper/vg-lv", "type": "lvm"}
    part = {"name": "/dev/sdb1", "type": "part", "children": [volume]}
    host = built(part, {"name": "/dev/md0", "type": "raid1"})
    close_built_on(host, Open())
    said = [" ".join(call) for call in host.calls[1:]]
    assert said == ["dmsetup remove --retry /dev/mapper/vg-lv", "mdadm --stop /dev/md0"]


@pytest.mark.parametrize("place", ["/srv", "[SWAP]"])
def test_a_disk_of_which_a_part_is_used_loses_no_other_part(place):
    parts = [
        {"name": "/dev/mapper/x", "type": "lvm", "mountpoints": [None]},
        {"name": "/dev/sdb2", "type": "part", "mountpoints": [place]},
    ]
    host = built(*parts)
    with pytest.raises(ServiceError, match=re.escape(f"is in use at {place}; nothing on it was changed")):
        close_built_on(host, Open())
    assert [call[0] for call in host.calls] == ["lsblk"]


@pytest.mark.parametrize(
    ("said", "disk", "shown"),
    [
        ({"wipefs": json.dumps({"signatures": [{"type": "zfs_member"}]})}, {}, "zfs_member"),
        ({"blkid": Result(0, "TYPE=x", "")}, {}, "something that blkid knows"),
        ({}, {"end": b"EFI PART"}, "the copy of a GPT"),
        ({}, {"shows": "data"}, "data at its start, data at its end"),
        ({}, {"shows": "erased"}, "data at its start, data at its end"),
    ],
)
def test_a_disk_that_still_shows_something_is_not_called_clean(said, disk, shown):
    host, device = machine(**said), Open(**disk)
    assert ", ".join(traces(host, device)) == shown
    with pytest.raises(ServiceError, match=f"still shows {shown}"):
        wipe(host, device)
