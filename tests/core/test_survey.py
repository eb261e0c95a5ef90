"""What a machine is made of: only what is really its own, and nothing called free that is not."""

import gzip
import json
import os
from ipaddress import ip_interface
from pathlib import Path

import pytest

from mcloud.errors import CommandError
from mcloud.host import Result
from mcloud.localhost import LocalHost
from mcloud.secrets import Secrets
from mcloud.survey import survey
from mcloud.testing import FakeDisk, FakeHost


class Machine:
    """A machine out of a folder (its files) and a table (what its commands say)."""

    def __init__(self, root):
        self._files = LocalHost(Secrets(), root=str(root))
        self._root = root
        self.read, self.stat, self.list = self._files.read, self._files.stat, self._files.list
        self.says = {
            "uname -rm": "6.1.0-18-amd64 x86_64\n",
            "uname -r": "6.1.0-18-amd64\n",
            "nproc": "4\n",
            "cat /proc/self/status": "CapEff:\t000001ffffffffff\n",
            "ip -j -d address": "[]",
            "find /dev ": "",
            "find /dev/disk": "",
            "blkid": Result(2, "", ""),
            "cat /proc/self/mountinfo": "",
        }
        self.ran = []
        self.open = FakeHost()
        """Whose disks are opened; one that nobody described is empty."""

    def device(self, path, *, seconds=30):
        self.ran.append((f"open {path}", seconds))
        self.open.disks.setdefault(path, FakeDisk())
        return self.open.device(path)

    @property
    def name(self):
        return "n1"

    def put(self, path, content=""):
        target = self._root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def put_disk(self, number, name, *, size=2_000_000, node="", **files):
        """Make what the kernel shows of a disk, and a node unless `node` is None."""
        folder = f"/sys/dev/block/{number}"
        self.put(f"{folder}/uevent", f"MAJOR=0\nMINOR=0\nDEVNAME={name}\nDEVTYPE=disk\n")
        self.put(f"{folder}/size", f"{size}\n")
        for path, content in files.items():
            self.put(f"{folder}/{path.replace('__', '/')}", content)
        if node is not None:
            self.put_node(number, node or f"/dev/{name}")

    def put_partition(self, number, name, *, of):
        folder = f"/sys/dev/block/{of}/{name}"
        self.put(f"{folder}/partition", "1\n")
        self.put(f"/sys/dev/block/{number}/uevent", f"DEVNAME={name}\nDEVTYPE=partition\n")
        self.put(f"/sys/dev/block/{number}/partition", "1\n")
        self.put_node(number, f"/dev/{name}")

    def put_node(self, number, path):
        major, minor = (int(part) for part in number.split(":"))
        inode = 100 + len(self.says["find /dev "].splitlines())
        self.says["find /dev "] += f"{major:x} {minor:x} 6 {inode} {path}\n"

    def run(self, argv, *, stdin=None, check=True, seconds=60, env=None):
        line = " ".join(argv)
        self.ran.append((line, seconds))
        known = [start for start in self.says if line.startswith(start)]
        said = self.says[max(known, key=len)] if known else ""
        if isinstance(said, Exception):
            raise said
        result = said if isinstance(said, Result) else Result(0, said, "")
        if check and not result.ok:
            raise CommandError(f"{argv[0]}: exit status {result.status}")
        return result


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def _disks(machine):
    return {disk.device: disk for disk in survey(machine, report=pytest.fail).disks}


# -- the machine


def test_what_the_machine_is(machine):
    machine.put("/etc/os-release", 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    machine.put("/proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n")
    found = survey(machine)
    assert (found.distribution, found.kernel, found.architecture) == (
        "debian-12",
        "6.1.0-18-amd64",
        "x86_64",
    )
    assert (found.cpus, found.memory) == (4, 2048 * 1024)


def test_a_rolling_distribution_has_no_version(machine):
    machine.put("/usr/lib/os-release", "ID=arch\n")
    assert survey(machine).distribution == "arch"


def test_every_command_has_a_short_deadline(machine):
    machine.put_disk("8:0", "sda")
    survey(machine)
    assert machine.ran
    assert all(seconds <= 10 for _, seconds in machine.ran)


@pytest.mark.parametrize(
    "broken", ["uname", "nproc", "ip -j -d address", "find /dev ", "cat", "blkid", "find /dev/disk"]
)
def test_a_tool_that_hangs_takes_only_its_own_part_with_it(machine, broken):
    machine.put("/etc/os-release", "ID=debian\n")
    machine.put_disk("8:0", "sda")
    for start in [start for start in machine.says if start.startswith(broken)] or [broken]:
        machine.says[start] = CommandError(f"{broken}: still running after 10 s and was killed")
    assert survey(machine).distribution == "debian"


@pytest.mark.parametrize("garbage", ["", "null", "[{}]", '[{"ifname": 5}]', "{"])
def test_a_part_that_cannot_be_understood_is_left_out_and_said_so(machine, garbage):
    machine.says["ip -j -d address"] = garbage
    machine.put_disk("8:0", "sda")
    told = []
    found = survey(machine, report=told.append)
    assert (found.nics, len(found.disks)) == ((), 1)
    assert garbage == "[{}]" or "network interfaces" in told[0]


# -- disks


def test_a_disk_with_what_is_known_of_it(machine):
    machine.put_disk(
        "8:0",
        "sda",
        size=1000,
        queue__rotational="1\n",
        device__model="WDC WD40EFRX    \n",
        serial="\x1bbad\n",
        ro="0\n",
        removable="1\n",
    )
    machine.says["find /dev/disk"] = (
        "/dev/disk/by-uuid/1-2\t../../sda\n/dev/disk/by-id/ata-WDC\t../../sda\n/dev/disk/by-path/x\t../../sda\n"
    )
    disk = _disks(machine)["/dev/sda"]
    assert (disk.size, disk.type, disk.model, disk.serial) == (512_000, "hdd", "WDC WD40EFRX", "bad")
    assert (disk.read_only, disk.removable) == (False, True)
    assert disk.links == ("/dev/disk/by-id/ata-WDC", "/dev/disk/by-path/x", "/dev/disk/by-uuid/1-2")
    assert (disk.content, disk.busy, disk.partitions) == ("", "", 0)


def test_what_udev_knows_is_preferred(machine):
    machine.put_disk("8:0", "sda", device__model="kernel's", device__serial="kernel's")
    machine.put("/run/udev/data/b8:0", "S:disk/by-id/x\nE:ID_MODEL=Some_Disk\nE:ID_SERIAL_SHORT=S1\n")
    disk = _disks(machine)["/dev/sda"]
    assert (disk.model, disk.serial) == ("Some Disk", "S1")


@pytest.mark.parametrize(
    ("number", "name", "rotational", "kind"),
    [
        ("259:0", "nvme0n1", "0", "nvme"),
        ("8:0", "sda", "0", "ssd"),
        ("8:0", "sda", "1", "hdd"),
        ("254:0", "vda", "1", "other"),
        ("9:0", "md0", "1", "other"),
    ],
)
def test_types(machine, number, name, rotational, kind):
    machine.put_disk(number, name, queue__rotational=rotational)
    assert _disks(machine)[f"/dev/{name}"].type == kind


def test_the_hosts_disks_are_not_ours_without_a_node(machine):
    machine.put_disk("254:0", "vda", node=None)
    machine.put_disk("7:3", "loop3", node="/dev/sda")
    assert {path: disk.type for path, disk in _disks(machine).items()} == {"/dev/sda": "loop"}


def test_a_loop_device_under_its_own_name_is_a_snap_or_an_image(machine):
    machine.put_disk("7:3", "loop3")
    assert _disks(machine) == {}


def test_two_nodes_of_one_disk_are_one_disk(machine):
    machine.put_disk("8:0", "sda")
    machine.put_node("8:0", "/dev/another")
    assert list(_disks(machine)) == ["/dev/sda"]


@pytest.mark.parametrize(
    "name", ["ram0", "zram0", "sr0", "fd0", "nbd0", "rbd0", "zd16", "mmcblk0boot0", "dm-0"]
)
def test_what_is_no_disk(machine, name):
    machine.put_disk("8:0", name)
    assert _disks(machine) == {}


def test_several_paths_to_a_disk_are_a_disk(machine):
    machine.put_disk("253:0", "dm-0", dm__uuid="mpath-3600\n")
    machine.put_disk("253:1", "dm-1", dm__uuid="LVM-abc\n")
    assert list(_disks(machine)) == ["/dev/dm-0"]


def test_an_empty_slot_and_an_unattached_node_are_no_disks(machine):
    machine.put_disk("8:0", "sda", size=0)
    machine.put_node("8:16", "/dev/sdb")
    assert _disks(machine) == {}


@pytest.mark.parametrize(
    ("answer", "content", "busy"),
    [
        (Result(0, "DEVNAME=/dev/sda\nTYPE=ext4\nUSAGE=filesystem\n", ""), "ext4", ""),
        (Result(0, "PTUUID=1\nPTTYPE=gpt\n", ""), "gpt", ""),
        (Result(0, "SOMETHING=new\n", ""), "unknown", ""),
        (Result(8, "", ""), "several signatures", ""),
        (Result(2, "", ""), "", ""),
        (Result(2, "", "blkid: error: /dev/sda: Input/output error\n"), "unknown", "cannot be read: "),
        (Result(4, "", ""), "unknown", "cannot be read: "),
        (CommandError("blkid: still running"), "unknown", "blkid: still running"),
    ],
)
def test_what_cannot_be_read_is_never_called_empty(machine, answer, content, busy):
    machine.put_disk("8:0", "sda")
    machine.says["blkid"] = answer
    disk = _disks(machine)["/dev/sda"]
    assert disk.content == content
    assert disk.busy.startswith(busy)
    assert bool(disk.busy) == bool(busy)


def _mount(number, point, source):
    return f"36 35 {number} / {point} rw,noatime shared:1 - ext4 {source} rw\n"


def _use_by_holder(machine):
    machine.put("/sys/dev/block/8:0/holders/dm-0", "")


def _use_as_swap(machine):
    machine.put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda partition 1 0 -2\n")


def _use_in_btrfs(machine):
    machine.put("/sys/fs/btrfs/1-2/devices/sda", "")
    machine.put("/sys/fs/btrfs/features/x", "")


def _use_by_lock(machine):
    machine.put(
        "/proc/locks",
        "1: POSIX  ADVISORY  WRITE 12 00:06:100 0 EOF\n2: -> POSIX ADVISORY WRITE 1 1:1:1 0 EOF\n",
    )


def _use_by_osd(machine):
    machine.put("/proc/locks", "1: OFDLCK ADVISORY  WRITE -1 00:06:100 0 EOF\n")


def _say(start, answer):
    return lambda machine: machine.says.__setitem__(start, answer)


@pytest.mark.parametrize(
    ("use", "busy"),
    [
        (_say("cat /proc/self/mountinfo", _mount("8:0", "/srv", "/dev/root")), "mounted on /srv"),
        (_say("cat /proc/self/mountinfo", _mount("0:40", "/a\\040b", "/dev/sda")), "mounted on /a b"),
        (_say("cat /proc/self/mountinfo", _mount("0:40", "/b", "/dev/disk/by-id/x")), "mounted on /b"),
        (_say("cat /proc/self/mountinfo", _mount("8:1", "/boot", "/dev/sda1")), "mounted on /boot"),
        (_use_by_holder, "held by dm-0"),
        (_use_as_swap, "used as swap"),
        (_use_in_btrfs, "part of a mounted btrfs"),
        (_use_by_lock, "locked by process 12"),
        (_use_by_osd, "locked by a running program"),
    ],
)
def test_who_uses_a_disk_is_said(machine, use, busy):
    machine.put_disk("8:0", "sda")
    machine.put_disk("8:16", "sdb")
    machine.put_partition("8:1", "sda1", of="8:0")
    machine.says["find /dev/disk"] = "/dev/disk/by-id/x\t../../sda\n"
    use(machine)
    disks = _disks(machine)
    assert disks["/dev/sda"].busy == busy
    assert disks["/dev/sda"].content == "partitions"
    assert (disks["/dev/sda"].partitions, disks["/dev/sdb"].partitions, disks["/dev/sdb"].busy) == (1, 0, "")


def test_the_kernels_own_refusal_counts(machine):
    machine.put_disk("8:0", "sda")
    machine.open.disks["/dev/sda"] = FakeDisk(used="by somebody")
    assert _disks(machine)["/dev/sda"].busy == "in use"


def test_data_that_nobody_knows_is_no_emptiness(machine):
    machine.put_disk("8:0", "sda")
    machine.open.disks["/dev/sda"] = FakeDisk(content="unknown data")
    disk = _disks(machine)["/dev/sda"]
    assert (disk.content, disk.busy) == ("unknown data", "")
    assert disk.content_id.startswith("sha256:")


def test_a_disk_that_cannot_be_opened_is_never_called_empty(machine):
    machine.put_disk("8:0", "sda")

    def no(path, *, seconds=30):
        raise CommandError(f"{path} of n1: reading it takes longer than 10 s")

    machine.device = no
    disk = _disks(machine)["/dev/sda"]
    assert (disk.content, disk.busy) == ("unknown", "/dev/sda of n1: reading it takes longer than 10 s")


@pytest.mark.parametrize(
    ("files", "udev", "wwn"),
    [
        ({"device__wwid": "naa.5000c5\n"}, "E:ID_WWN=0x5000c5\n", "naa.5000c5"),
        ({"wwid": "eui.0025\n"}, "", "eui.0025"),
        ({}, "E:ID_WWN=0x5000c5\nE:ID_WWN_WITH_EXTENSION=0x5000c5aa\n", "0x5000c5aa"),
        ({}, "", ""),
    ],
)
def test_its_world_wide_name_is_the_kernels_or_udevs(machine, files, udev, wwn):
    machine.put_disk("8:0", "sda", **files)
    machine.put("/run/udev/data/b8:0", udev)
    assert _disks(machine)["/dev/sda"].wwn == wwn


# -- the kernel


def _config(*options):
    return "# CONFIG_GENEVE is not set\n" + "".join(f"CONFIG_{option}=y\n" for option in options)


def test_abilities_are_built_in_loaded_or_loadable(machine):
    machine.put("/proc/filesystems", "nodev\tproc\n\tbtrfs\n")
    machine.put("/sys/module/bridge/refcnt", "0")
    machine.put("/proc/modules", "")
    machine.put("/lib/modules/6.1.0-18-amd64/modules.builtin", "kernel/drivers/net/vxlan/vxlan.ko\n")
    machine.put(
        "/lib/modules/6.1.0-18-amd64/modules.dep",
        "kernel/net/openvswitch/openvswitch.ko.xz: kernel/lib/libcrc32c.ko\n"
        "kernel/drivers/md/dm-thin-pool.ko:\nupdates/dkms/zfs.ko: updates/dkms/spl.ko\n",
    )
    assert survey(machine).abilities == ("openvswitch", "vxlan", "bridge", "dm-thin", "zfs", "btrfs")


@pytest.mark.parametrize(
    "obstacle",
    [
        lambda machine: machine.put("/proc/sys/kernel/modules_disabled", "1\n"),
        _say("cat /proc/self/status", "CapEff:\t00000000a80425fb\n"),
        lambda machine: (machine._root / "proc/modules").unlink(),
    ],
)
def test_what_cannot_be_loaded_from_here_is_no_ability(machine, obstacle):
    machine.put("/proc/modules", "")
    machine.put("/lib/modules/6.1.0-18-amd64/modules.dep", "kernel/net/openvswitch/openvswitch.ko:\n")
    assert survey(machine).abilities == ("openvswitch",)
    obstacle(machine)
    assert survey(machine).abilities == ()


def test_a_kernel_without_modules_tells_by_its_configuration(machine):
    machine.put("/boot/config-6.1.0-18-amd64", _config("CEPH_FS", "BLK_DEV_RBD"))
    assert survey(machine).abilities == ("ceph", "rbd")


def test_the_running_kernels_own_configuration_is_unpacked(machine):
    machine.put("/proc/config.gz", gzip.compress(b"x"))
    machine.says["gzip -dc /proc/config.gz"] = _config("VXLAN")
    assert survey(machine).abilities == ("vxlan",)


# -- network interfaces


def _link(name, *, kind="", addresses=(), outside=False, **more):
    link = {"ifname": name, "link_type": "ether", "mtu": 1500, "flags": ["UP", "LOWER_UP"], **more}
    if kind:
        link["linkinfo"] = {"info_kind": kind}
    if outside:
        link["link_netnsid"] = 0
    link["addr_info"] = [
        {"local": address.split("/")[0], "prefixlen": int(address.split("/")[1]), "scope": "global"}
        for address in addresses
    ]
    return link


def _nics(machine, *links, hardware=()):
    machine.says["ip -j -d address"] = json.dumps(links)
    for name in hardware:
        machine.put(f"/sys/class/net/{name}/device/vendor", "")
    return {nic.name: nic for nic in survey(machine, report=pytest.fail).nics}


def test_interfaces_of_a_real_machine(machine):
    nics = _nics(
        machine,
        {"ifname": "lo", "link_type": "loopback"},
        _link("eno1", address="aa:bb", addresses=["10.0.0.1/24", "2001:db8::1/64"], mtu=9000),
        _link("eno2", master="bond0", flags=["UP"]),
        _link("bond0", kind="bond"),
        _link("vethabc", kind="veth", outside=True, master="docker0"),
        _link("tap0", kind="tun"),
        _link("ifb0", kind="ifb"),
        hardware=["eno1", "eno2"],
    )
    assert list(nics) == ["bond0", "eno1", "eno2"]
    assert nics["eno1"].addresses == (ip_interface("10.0.0.1/24"), ip_interface("2001:db8::1/64"))
    assert (nics["eno1"].mac, nics["eno1"].up, nics["eno1"].mtu) == ("aa:bb", True, 9000)
    assert (nics["eno2"].used_by, nics["eno2"].up) == ("bond0", False)
    assert [name for name, nic in nics.items() if nic.physical] == ["eno1", "eno2"]


def test_a_container_has_its_lent_interfaces_for_hardware(machine):
    nics = _nics(
        machine,
        _link("eth0", kind="veth", outside=True, addresses=["10.0.0.1/24"]),
        _link("eth1", kind="veth", outside=True),
        _link("veth1234", kind="veth", outside=True, master="br0"),
        _link("br0", kind="bridge", addresses=["10.1.0.1/24"]),
    )
    assert {name: nic.physical for name, nic in nics.items()} == {"br0": False, "eth0": True, "eth1": True}


def test_where_there_is_hardware_nothing_lent_passes_for_it(machine):
    nics = _nics(machine, _link("eno1"), _link("lxc0", kind="veth", outside=True), hardware=["eno1"])
    assert list(nics) == ["eno1"]


def test_addresses_that_name_no_machine_are_left_out(machine):
    link = _link("eno1", addresses=["10.0.0.1/24", "2001:db8::1/64", "2001:db8::2/64", "fe80::1/64"])
    link["addr_info"][2]["temporary"] = True
    link["addr_info"][3]["scope"] = "link"
    nics = _nics(machine, link, hardware=["eno1"])
    assert [str(address) for address in nics["eno1"].addresses] == ["10.0.0.1/24", "2001:db8::1/64"]


# -- here and now


def test_this_machine_bears_it_and_is_told_rightly():
    told = []
    found = survey(LocalHost(Secrets()), report=told.append)
    assert told == []
    assert found.kernel == os.uname().release
    assert found.memory == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.01)
    assert not any(disk.device.startswith(("/dev/loop", "/dev/zram")) for disk in found.disks)
    assert "btrfs" in found.abilities or "btrfs" not in Path("/proc/filesystems").read_text()
