"""Look at Ceph on one machine: what is installed, and what is in use already."""

import re

from mcloud import Host, ServiceState, obstacles
from mcloud_ceph.conffile import fsid_at, keys_beside, of_others
from mcloud_ceph.files import STATE

PROGRAMS = {
    "ceph-mon": "/usr/bin/ceph-mon",
    "ceph-osd": "/usr/bin/ceph-osd",
    "ceph-mgr": "/usr/bin/ceph-mgr",
    "ceph-mds": "/usr/bin/ceph-mds",
    "ceph-common": "/usr/bin/rbd",
}
"""A program of each package that is needed."""

PACKAGES = tuple(PROGRAMS)

PORTS = {3300: "Ceph's monitor (msgr2)", 6789: "Ceph's monitor (msgr1)"}
MONITORS_ONLY = frozenset({*map(str, PORTS), "ceph-mon@.service", "ceph-mds@.service"})
"""What only the machines need that run a monitor."""

UNITS = tuple(f"ceph-{kind}@.service" for kind in ("mon", "osd", "mgr", "mds"))

CLIENT = "client"
"""Feature of a machine that uses another Ceph: what gives it access lies where ours would."""
KEY = "key "
"""Feature for each further keyring in /etc/ceph: the word, then its path."""

_SNAP = "/var/snap/microceph/common/state"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def inspect(host: Host) -> ServiceState:
    """Say what there is of Ceph: packages, version, and any cluster this machine is part of."""
    missing = tuple(package for package, program in PROGRAMS.items() if host.stat(program) is None)
    cluster, found = _cluster(host), _daemons(host)
    if host.stat(_SNAP) is not None:
        found = (*found, "the snap microceph")
    theirs = of_others(host)
    used = found or theirs
    standing = "clustered" if cluster else "alone" if used else "absent" if missing else "idle"
    client = (CLIENT,) if theirs and not found else ()
    return ServiceState.model_validate(
        {
            "installed": not missing,
            "version": "" if "ceph-mon" in missing else _version(host),
            "standing": standing,
            "cluster": cluster,
            "missing": missing,
            "obstacles": obstacles(host, ports=PORTS, units=UNITS, users=("ceph",)),
            "features": (*client, *(f"{KEY}{path}"[:255] for path in keys_beside(host)[:16])),
            "note": ", ".join((*found, *theirs))[:255],
        }
    )


def _cluster(host: Host) -> str:
    """Return the id of the cluster in ceph.conf, or of one that cephadm made (in a folder of that name)."""
    ids = [fsid_at(host), *(name for name in host.list(STATE) if _UUID.fullmatch(name))]
    return next((fsid for fsid in ids if fsid), "")


def _daemons(host: Host) -> tuple[str, ...]:
    """Return the daemons that have data on this machine: mon.n1, osd.3, ..."""
    kinds = ("mon", "mgr", "osd", "mds")
    return tuple(
        f"{kind}.{folder.partition('-')[2]}" for kind in kinds for folder in host.list(f"{STATE}/{kind}")
    )


def _version(host: Host) -> str:
    said = host.run(["ceph-mon", "--version"], check=False, seconds=10).stdout
    found = re.search(r"ceph version (\S+)", said)
    return found.group(1) if found else ""
