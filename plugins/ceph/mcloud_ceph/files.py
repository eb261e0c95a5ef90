"""The text of Ceph's own files: ceph.conf and keyrings; and keys."""

import base64
import os
import struct
import time
from collections.abc import Mapping, Sequence

from mcloud import Node
from mcloud_ceph.layout import CLIENT, FILESYSTEM, POOL, internal_address, monitors, public_address
from mcloud_ceph.settings import CephSettings

CONF = "/etc/ceph/ceph.conf"
ADMIN_KEYRING = "/etc/ceph/ceph.client.admin.keyring"
CLIENT_KEYRING = f"/etc/ceph/ceph.client.{CLIENT}.keyring"
STATE = "/var/lib/ceph"

MARK = "# Written by mcloud"
"""How each file of ours in /etc/ceph begins: by it a reset knows what is ours."""

ADMIN_CAPS = {"mon": "allow *", "mgr": "allow *", "osd": "allow *", "mds": "allow *"}
MANAGER_CAPS = {"mon": "profile mgr", "osd": "allow *", "mds": "allow *"}
METADATA_CAPS = {"mon": "profile mds", "osd": "allow rw tag cephfs *=*", "mds": "allow"}
OSD_CAPS = {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"}

ENCRYPTED = (
    *(f"ms_{kind}_mode = secure" for kind in ("cluster", "service", "client")),
    *(f"ms_mon_{kind}_mode = secure" for kind in ("cluster", "service", "client")),
    "ms_bind_msgr1 = false",
    "rbd_default_map_options = ms_mode=secure",
)
"""Lines of ceph.conf with which nobody here says a word in the clear (Ceph, Messenger v2, Connection modes).

In the file and not in the cluster, since they hold for the first word, too. The first messenger knows no
encryption; `rbd map` has the kernel speak its language unless it is told otherwise.
"""

Caps = Mapping[str, str]


def client_caps(*, filesystem: bool) -> Caps:
    """Return what the client of pools and file system may do: its own pools and nothing else."""
    caps = {"mon": "profile rbd", "mgr": f"profile rbd pool={POOL}", "osd": f"profile rbd pool={POOL}"}
    if filesystem:
        caps["mon"] += ", allow r"
        caps["osd"] += f", allow rw tag cephfs data={FILESYSTEM}"
        # p: quotas, s: snapshots, both of which LXD sets on its volumes.
        caps["mds"] = f"allow rwps fsname={FILESYSTEM}"
    return caps


def new_key() -> str:
    """Make a secret key as `ceph-authtool --gen-print-key` does: type 1 (AES), time, length, 16 bytes."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return base64.b64encode(struct.pack("<HIIH", 1, seconds, nanoseconds, 16) + os.urandom(16)).decode()


def keyring(entity: str, key: str, caps: Caps | None = None) -> str:
    """Return one entity's section of a keyring file."""
    lines = [
        f"[{entity}]",
        f"\tkey = {key}",
        *(f'\tcaps {on} = "{what}"' for on, what in (caps or {}).items()),
    ]
    return "\n".join(lines) + "\n"


def keyring_file(entity: str, key: str, caps: Caps | None = None) -> str:
    """Return a keyring in /etc/ceph, with our mark: it tells who may remove it."""
    return f"{MARK}\n{keyring(entity, key, caps)}"


def conf(fsid: str, node: Node, nodes: Sequence[Node], settings: CephSettings) -> str:
    """Return ceph.conf of one machine; all other options are in the cluster itself (`ceph config dump`).

    It names the monitors that are there before this run's machines join: every call of a client that
    knows one which is not running yet takes 3 s more, now and then (mon_client_hunt_interval).
    """
    there = [monitor for monitor in monitors(nodes) if monitor.founder or monitor.standing == "member"]
    public = public_address(node, settings)
    lines = [
        f"{MARK}. What is not here is in the cluster: ceph config dump",
        "[global]",
        f"fsid = {fsid}",
        f"mon_host = {monitor_hosts(there or monitors(nodes), settings)}",
        f"public_addr = {public}",
        # Without it, OSDs listen for each other on every interface (pick_address.cc).
        f"cluster_addr = {internal_address(node, settings)}",
        *(["ms_bind_ipv4 = false", "ms_bind_ipv6 = true"] if ":" in public else []),
        *([*ENCRYPTED, *_mon_lines(public)] if settings.encrypt_traffic else []),
    ]
    return "\n".join(lines) + "\n"


def _mon_lines(public: str) -> Sequence[str]:
    """Return what keeps a monitor that joins from taking an address of the first messenger (ceph_mon.cc)."""
    return ["[mon]", f"public_addrv = {monitor_addresses(public, encrypted=True)}"]


def monitor_hosts(monitors: Sequence[Node], settings: CephSettings) -> str:
    """Return monitors' addresses without ports: LXD 5.0 reads this line too, for the kernel's mount."""
    return ",".join(bracketed(public_address(monitor, settings)) for monitor in monitors)


def bracketed(address: str) -> str:
    """Return an address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def monitor_addresses(address: str, *, encrypted: bool = False) -> str:
    """Return a monitor's addresses as the monitor map holds them: both messengers, Ceph's own ports.

    With `encrypted` the second one alone: the first one cannot encrypt.
    """
    host = bracketed(address)
    return f"[v2:{host}:3300]" if encrypted else f"[v2:{host}:3300,v1:{host}:6789]"
