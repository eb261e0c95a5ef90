"""What the kernel has or can load; the tools that use it are not asked for."""

import re

from mcloud.host import Host
from mcloud.survey.looking import pairs, said, text

MODULES = {
    "openvswitch": "openvswitch",
    "geneve": "geneve",
    "vxlan": "vxlan",
    "bridge": "bridge",
    "ceph": "ceph",
    "rbd": "rbd",
    "nbd": "nbd",
    "dm-crypt": "dm_crypt",
    "dm-thin": "dm_thin_pool",
    "zfs": "zfs",
    "btrfs": "btrfs",
    "xfs": "xfs",
}
"""The kernel's module for each ability."""

_OPTIONS = {
    "openvswitch": "OPENVSWITCH",
    "geneve": "GENEVE",
    "vxlan": "VXLAN",
    "bridge": "BRIDGE",
    "ceph": "CEPH_FS",
    "rbd": "BLK_DEV_RBD",
    "nbd": "BLK_DEV_NBD",
    "dm-crypt": "DM_CRYPT",
    "dm-thin": "DM_THIN_PROVISIONING",
    "btrfs": "BTRFS_FS",
    "xfs": "XFS_FS",
}
"""The option of the kernel's configuration that builds it in (zfs is always a module)."""

_FILE_SYSTEMS = frozenset({"ceph", "zfs", "btrfs", "xfs"})

_SYS_MODULE = 16
"""CAP_SYS_MODULE, capabilities(7): whoever lacks it (a container) cannot load what lies on its disk."""


def abilities(host: Host) -> tuple[str, ...]:
    """Return the names in `MODULES` whose module is built in, is loaded or can be loaded."""
    release = said(host, "uname", "-r").strip()
    folder = f"/lib/modules/{release}"
    there = {word for line in text(host, "/proc/filesystems").splitlines() for word in line.split()}
    there &= _FILE_SYSTEMS
    modules = set(host.list("/sys/module")) | _modules(text(host, f"{folder}/modules.builtin"))
    if _can_load(host):
        modules |= _modules(text(host, f"{folder}/modules.dep"))
    there |= {ability for ability, module in MODULES.items() if module in modules}
    missing = set(MODULES) - there
    if missing:
        there |= missing & _built_in(host, release)
    return tuple(ability for ability in MODULES if ability in there)


def _modules(listing: str) -> set[str]:
    """Return the modules that modules.builtin or modules.dep(5) names: `kernel/x/dm-crypt.ko.xz: ...`."""
    paths = (line.partition(":")[0] for line in listing.splitlines())
    return {path.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for path in paths}


def _can_load(host: Host) -> bool:
    """Whether this kernel takes modules, and takes them from us."""
    if host.stat("/proc/modules") is None or text(host, "/proc/sys/kernel/modules_disabled").strip() == "1":
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", said(host, "cat", "/proc/self/status"), re.MULTILINE)
    return found is None or bool(int(found[1], 16) >> _SYS_MODULE & 1)


def _built_in(host: Host, release: str) -> set[str]:
    """Return what the kernel's own configuration has built in: for kernels without a modules folder."""
    config = text(host, f"/boot/config-{release}")
    if not config and host.stat("/proc/config.gz") is not None:
        config = said(host, "gzip", "-dc", "/proc/config.gz")
    chosen = dict(pairs(config))
    return {ability for ability, option in _OPTIONS.items() if chosen.get(f"CONFIG_{option}") == "y"}
