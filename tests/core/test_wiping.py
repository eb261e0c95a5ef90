"""A disk is wiped at both ends and wherever copies lie, and proven clean by reading it back."""

import json
import re

import pytest

from mcloud import Result, ServiceError
from mcloud.testing import FakeFile, FakeHost
from mcloud.wiping import traces, wipe_disk

MIB, GIB = 2**20, 2**30
NO = Result(1, "", "busy")


def disk(size=10 * GIB, **said):
    """Return a machine with one disk; `said` is what commands on it answer, by name."""
    answers = {"wipefs": "", "blockdev": str(size), "blkid": Result(2, "", ""), "lsblk": "", **said}

    def answer(call):
        return answers.get(call[0], "")

    return FakeHost(answer=answer, files={path: FakeFile(kind="block") for path in ("/dev/sdb", "/dev/sdb1")})


def wiped(host, path="/dev/sdb"):
    """Return the ranges of zeros that were written to a disk."""
    written = [dict(w.split("=", 1) for w in call if "=" in w) for call in host.calls if call[0] == "dd"]
    assert all("nocreat" in words["conv"] for words in written)
    return [
        (int(words["seek"]), int(words["seek"]) + int(words["count"]))
        for words in written
        if words["of"] == path
    ]


@pytest.mark.parametrize("size", [MIB, 40 * MIB, 10 * GIB + 512, 11 * GIB, 2**41])
def test_wiping_stays_on_the_disk_and_reaches_both_ends_and_all_copies(size):
    host = disk(size)
    wipe_disk(host, "/dev/sdb")
    ranges = wiped(host)
    assert (min(ranges)[0], max(end for _start, end in ranges)) == (0, size)
    copies = [at for at in (64 * MIB, GIB, 10 * GIB, 100 * GIB, 256 * GIB, 1000 * GIB) if at + MIB <= size]
    assert all(any(start <= at < end for start, end in ranges) for at in copies)


def test_the_kernel_is_asked_for_the_disk_before_anything_is_written():
    host = disk(wipefs=NO)
    with pytest.raises(ServiceError):
        wipe_disk(host, "/dev/sdb")
    assert not wiped(host)


@pytest.mark.parametrize(("path", "kind"), [("/dev/sdx", None), ("/dev/file", "file")])
def test_what_is_no_disk_is_never_written_to(path, kind):
    host = disk()
    if kind:
        host.files[path] = FakeFile(kind=kind)
    with pytest.raises(ServiceError, match="is no disk"):
        wipe_disk(host, path)
    assert not host.calls


def test_what_is_built_on_it_is_closed_first_and_partitions_are_wiped_too():
    volume = {"name": "/dev/mapper/vg-lv", "type": "lvm"}
    part = {"name": "/dev/sdb1", "type": "part", "children": [volume]}
    array = {"name": "/dev/md0", "type": "raid1"}
    whole = {"blockdevices": [{"name": "/dev/sdb", "type": "disk", "children": [part, array]}]}
    host = disk(lsblk=json.dumps(whole))
    wipe_disk(host, "/dev/sdb")
    said = [" ".join(call) for call in host.calls]
    assert said.index("dmsetup remove --retry /dev/mapper/vg-lv") < said.index("mdadm --stop /dev/md0")
    assert said.index("mdadm --stop /dev/md0") < said.index("wipefs --all --quiet /dev/sdb1")
    assert said.index("wipefs --all --quiet /dev/sdb1") < said.index("wipefs --all --quiet /dev/sdb")
    assert wiped(host, "/dev/sdb1")
    assert "blockdev --rereadpt /dev/sdb" in said


@pytest.mark.parametrize("place", ["/srv", "[SWAP]"])
def test_a_disk_of_which_a_part_is_used_loses_no_other_part(place):
    parts = [
        {"name": "/dev/sdb1", "type": "part", "mountpoints": [None]},
        {"name": "/dev/sdb2", "type": "part", "mountpoints": [place]},
    ]
    whole = {"blockdevices": [{"name": "/dev/sdb", "type": "disk", "mountpoints": [], "children": parts}]}
    host = disk(lsblk=json.dumps(whole))
    with pytest.raises(ServiceError, match=re.escape(f"is in use at {place}; nothing on it was changed")):
        wipe_disk(host, "/dev/sdb")
    assert [call[0] for call in host.calls] == ["lsblk"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"wipefs": json.dumps({"signatures": [{"type": "zfs_member"}]})}, "zfs_member"),
        ({"blkid": Result(0, "TYPE=x", "")}, "something that blkid knows"),
        ({"cmp": NO}, "data at its start, data at its end"),
    ],
)
def test_a_disk_that_still_shows_something_is_not_called_clean(said, shown):
    host = disk(**said)
    assert ", ".join(traces(host, "/dev/sdb")) == shown
    with pytest.raises(ServiceError, match=f"still shows {shown}"):
        wipe_disk(host, "/dev/sdb")
