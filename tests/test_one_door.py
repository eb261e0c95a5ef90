"""One door to disks: nothing else in the core or in a plugin runs what destroys what is on a disk."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DESTROYS = re.compile(
    r"(wipefs|mke2fs|mkfs(\.\w+)?|mkswap|dd|blkdiscard|sgdisk|sfdisk|fdisk|parted|shred|scrub|pvcreate|pvremove|"
    r"vgcreate|vgremove|vgreduce|lvcreate|lvremove|mdadm|dmsetup|cryptsetup|zpool|hdparm|nvme|ceph-volume|"
    r"ceph-bluestore-tool|btrfs|--mkfs|--zap-disk|--destroy)"
)
"""Programs that write on disks, and options of others that do."""

OTHERWISE = {"parted", "nvme", "btrfs", "scrub"}
"""Those that are words of other things, too: they count as the first of their list."""

INSIDE = {f"core/mcloud/{name}.py" for name in ("disksdoor", "wiping", "keeper", "opendevice")}
"""The door itself."""

HARMLESS = {
    ("zpool", "list"): "reads",
    ("zpool", "export"): "closes; what is in the pool stays",
    ("ceph-mon", "--mkfs"): "makes a folder: monitors have no disks",
}
"""A word and the one after it (or before it) that are no harm, and why."""

SOURCES = {
    "plugins/lxd/mcloud_lxd/given.py": "the disk that the door holds",
    "plugins/lxd/mcloud_lxd/remote.py": "a pool of a network storage that another service offers",
    "plugins/lxd/mcloud_lxd/cluster_client.py": "what the cluster's other members have for shared pools",
}
"""Where the plugin of LXD says what a pool is made of, and what that is."""


def sources():
    """Return what runs on operators' machines: not the lab, which has disks of its own, nor the kit."""
    found = [*(ROOT / "core").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    return [path for path in sorted(found) if not {"lab", "testing"} & set(path.parts)]


def words(node):
    """Return the plain words of a list or tuple, None for what is computed."""
    return [one.value if isinstance(one, ast.Constant) else None for one in node.elts]


def commands(tree):
    """Yield the call (or None) and the words of each list of words, and of each text that a shell may run."""
    called = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            called |= {id(argument): call for argument in call.args}
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            yield called.get(id(node)), words(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            said = node.value.split()
            if len(said) > 1 and ("sh" in said or DESTROYS.fullmatch(said[0])):
                yield None, said


def sins(text):
    """Return what in a source destroys something on a disk, or makes a pool of one, past the door."""
    tree = ast.parse(text)
    for call, said in commands(tree):
        for before, word, after in zip([None, *said], said, [*said[1:], None], strict=False):
            if not isinstance(word, str) or not DESTROYS.fullmatch(word):
                continue
            if word in OTHERWISE and before is not None:
                continue
            if (word, after) in HARMLESS or (before, word) in HARMLESS:
                continue
            through = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            if not (through and call.func.attr == "make" and any(one.arg == "name" for one in call.keywords)):
                yield " ".join(str(one) for one in said)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "zero":
            yield "zero"
        if isinstance(node, ast.ImportFrom) and node.module == "mcloud.wiping":
            yield "import of mcloud.wiping"


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in sources() if name(path) not in INSIDE], ids=name)
def test_nothing_destroys_what_is_on_a_disk_but_through_the_door(path):
    assert list(sins(path.read_text())) == []


def test_the_door_itself_is_where_this_test_believes():
    assert all((ROOT / path).exists() for path in INSIDE | SOURCES.keys())
    assert any("wipefs" in said for said in sins((ROOT / "core/mcloud/wiping.py").read_text()))


def test_what_a_pool_is_made_of_is_said_in_few_places():
    found = {
        name(path)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict)
        if any(isinstance(key, ast.Constant) and key.value == "source" for key in node.keys)
    }
    assert found == set(SOURCES)
    assert '{"source": held.lasting}' in (ROOT / "plugins/lxd/mcloud_lxd/given.py").read_text()


@pytest.mark.parametrize(
    "sin",
    [
        'host.run(["wipefs", "--all", path])',
        'host.run(["mkfs.ext4", "-q", path])',
        'argv = ("dd", "if=/dev/zero", f"of={path}")',
        'host.run(["blkdiscard", path])',
        'host.run(["ceph-osd", "--mkfs", *who])',
        'host.run(["sgdisk", "--zap-all", path])',
        'host.run(["zpool", "destroy", "-f", pool])',
        'host.run(["vgremove", "--force", pool])',
        'host.run(["sh", "-c", "wipefs --all " + path])',
        'SCRIPT = "wipefs --all /dev/sdb"',
        'held.make(["wipefs", "--all", path])',
        "device.zero([(0, 4096)])",
        "from mcloud.wiping import wipe",
    ],
)
def test_each_sin_is_found(sin):
    assert list(sins(sin))


@pytest.mark.parametrize(
    "good",
    [
        'held.make(["ceph-osd", "--mkfs", *who], name=held.lasting)',
        'host.run(["zpool", "list", "-H"])',
        'raise ServiceError("unmount it (`umount`), if it may be wiped")',
        '"""Run wipefs."""',
    ],
)
def test_what_is_no_sin_is_let_pass(good):
    assert list(sins(good)) == []
