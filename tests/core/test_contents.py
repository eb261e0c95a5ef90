"""What is on a disk, on real devices: nothing that anybody may miss counts as empty."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from loopdevices import loop_device, needs_loop_devices

from mcloud.errors import ServiceError
from mcloud.localhost import LocalHost
from mcloud.secrets import Secrets
from mcloud.survey.contents import content
from mcloud.survey.samples import SHORT, places
from mcloud.wiping import wipe

pytestmark = needs_loop_devices

MIB, GIB = 2**20, 2**30


@pytest.fixture
def host():
    return LocalHost(Secrets())


@pytest.fixture
def device(tmp_path):
    with loop_device(tmp_path) as path:
        yield path


def write(path, at, data):
    with Path(path).open("r+b", buffering=0) as disk:
        disk.seek(at)
        disk.write(data)
        os.fsync(disk.fileno())


def run(*argv):
    subprocess.run(argv, check=True, capture_output=True)


def tar(path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        entry = tarfile.TarInfo("precious")
        entry.size = 5
        file.addfile(entry, io.BytesIO(b"words"))
    write(path, 0, archive.getvalue())


def ext4_without_its_start(path):
    run("mkfs.ext4", "-q", "-F", path)
    write(path, 0, bytes(MIB))


def ext4_without_more(path):
    run("mkfs.ext4", "-q", "-F", path)
    write(path, 0, bytes(40 * MIB))


def backup_of_a_table(path):
    run("sgdisk", "--new=1:2048:+100M", path)
    write(path, 0, bytes(MIB))


def table_after_wipefs(path):
    run("sgdisk", "--new=1:2048:+100M", path)
    run("wipefs", "--all", "--quiet", path)


UNKNOWN = {
    "random bytes": lambda path: write(path, 0, os.urandom(MIB)),
    "a tar": tar,
    "ext4 whose first block is gone": ext4_without_its_start,
    "ext4 whose first blocks are gone": ext4_without_more,
    "a table of partitions after wipefs --all": table_after_wipefs,
    "data in the middle": lambda path: write(path, GIB, b"in between"),
    "data at the end": lambda path: write(path, 2 * GIB - 10, b"at the end"),
}


@pytest.mark.parametrize("deed", UNKNOWN.values(), ids=UNKNOWN)
def test_what_nobody_knows_is_unknown_data(host, device, deed):
    deed(device)
    with host.device(device) as open_one:
        found = content(host, open_one)
        assert found.type == "unknown data"
        assert found.id.startswith("sha256:")


def test_the_copy_of_a_table_of_partitions_is_seen(host, device):
    """`blkid -p` looks for it only where the start of the disk tells of one."""
    backup_of_a_table(device)
    assert host.run(["blkid", "-p", device], check=False).status == 2
    with host.device(device) as open_one:
        assert content(host, open_one).type == "gpt (its copy alone)"


@pytest.mark.parametrize("filled", [b"", b"\xff"], ids=["zeros", "erased flash"])
def test_nothing_is_nothing(host, tmp_path, filled):
    with loop_device(tmp_path, "16M") as path:
        if filled:
            write(path, 0, filled * 16 * MIB)
        with host.device(path) as open_one:
            assert (content(host, open_one).type, content(host, open_one).id) == ("", "")


def test_a_label_comes_with_what_tells_it_from_others(host, device):
    run("mkfs.ext4", "-q", "-F", "-L", "home", "-U", "0f3b5e4c-1111-4222-8333-944455566677", device)
    with host.device(device) as open_one:
        found = content(host, open_one)
    assert (found.type, found.id, found.label) == ("ext4", "0f3b5e4c-1111-4222-8333-944455566677", "home")


@pytest.mark.parametrize("deed", [*UNKNOWN.values(), backup_of_a_table], ids=[*UNKNOWN, "a table's copy"])
def test_what_was_wiped_is_empty(host, device, deed):
    deed(device)
    with host.device(device) as open_one:
        wipe(host, open_one)
        assert content(host, open_one).type == ""


def test_an_open_device_is_that_device_whatever_its_name_becomes(host, tmp_path):
    with loop_device(tmp_path, "16M", "one") as one, loop_device(tmp_path, "16M", "two") as two:
        name = tmp_path / "name"
        name.symlink_to(one)
        with host.device(str(name)) as held:
            assert held.leads(str(name))
            name.unlink()
            name.symlink_to(two)
            assert not held.leads(str(name))
            write(two, 0, b"somebody's")
            held.zero([(0, MIB)])
            assert host.run(["head", "--bytes=10", two]).stdout == "somebody's"
            run("mkfs.ext4", "-q", "-F", held.node)
            assert host.run(["blkid", "-p", "-o", "value", "-s", "TYPE", one]).stdout == "ext4\n"


def test_a_device_in_use_is_not_written_to(host, device, tmp_path):
    run("mkfs.ext4", "-q", "-F", device)
    place = tmp_path / "mnt"
    place.mkdir()
    run("mount", device, place)
    try:
        with host.device(device) as held:
            assert held.refusal() == "in use"
            with pytest.raises(ServiceError, match="in use"):
                held.zero([(0, 4096)])
            assert content(host, held, sampled=False).type == "ext4"
    finally:
        run("umount", place)


@pytest.mark.parametrize(
    ("path", "said"), [("/dev/null", "is no block device"), ("/dev/nothing", "No such file or directory")]
)
def test_what_is_no_device_is_said_so(host, path, said):
    with pytest.raises(ServiceError, match=said), host.device(path):
        pass


@pytest.mark.parametrize("size", [0, 512, MIB, 4 * MIB, 5 * MIB, 8 * MIB + 512, 2 * GIB, 2**44])
def test_places_stay_on_the_disk_apart_from_each_other_and_few(size):
    found = places(size)
    ends = [0, *(at + count for at, count in found)]
    assert all(at >= end for (at, _count), end in zip(found, ends, strict=False))
    assert ends[-1] <= size
    assert sum(count for _at, count in found) <= 13 * MIB
    assert size < GIB or (size // 4 // 4096 * 4096, SHORT) in found
