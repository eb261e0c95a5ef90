"""Whose Ceph is on this machine: told by marks of ours, never by names that all Cephs share."""

from collections.abc import Iterator, Sequence

from mcloud import Host
from mcloud_ceph import units
from mcloud_ceph.conffile import fsid_at, is_ours, of_others, text_at
from mcloud_ceph.files import ADMIN_KEYRING, CLIENT_KEYRING, CONF, MARK, STATE

KINDS = ("mgr", "mds", "osd", "mon")


def names(host: Host, kind: str) -> Sequence[str]:
    """Return the names of daemons of a kind that have data here."""
    prefix = "ceph-"
    return [name.removeprefix(prefix) for name in host.list(f"{STATE}/{kind}") if name.startswith(prefix)]


def daemons(host: Host) -> Sequence[tuple[str, str]]:
    """Return kind and name of all daemons that have data here, whoever made them."""
    return [(kind, name) for kind in KINDS for name in names(host, kind)]


def ceph_is_ours(host: Host) -> bool:
    """Say whether the Ceph on this machine is one of mcloud's: its ceph.conf says so, or a daemon's data.

    There is one under these paths at most: no machine with another is ever taken.
    """
    return is_ours(host, CONF) or any(_marked(host, kind, name) for kind, name in daemons(host))


def access_of_ours(host: Host) -> tuple[str, ...]:
    """Return our files in /etc/ceph, ceph.conf last: with the keys gone it still tells whose they were."""
    theirs = of_others(host)
    there = [path for path in (ADMIN_KEYRING, CLIENT_KEYRING, CONF) if text_at(host, path) is not None]
    return tuple(path for path in there if path not in theirs)


def not_ours(host: Host) -> Iterator[str]:
    """Yield in words what is here of a Ceph that mcloud did not make."""
    if found := of_others(host):
        cluster = f"Ceph {fsid_at(host)}" if CONF in found and fsid_at(host) else "a Ceph"
        yield f"{', '.join(found)}: of {cluster} that mcloud did not make; stays, and joining wants it gone"
    if not ceph_is_ours(host) and (there := daemons(host)):
        listed = ", ".join(f"{kind}.{name}" for kind, name in there)
        yield f"{listed}: of a Ceph that mcloud did not make; stays"


def _marked(host: Host, kind: str, name: str) -> bool:
    """Say whether a daemon bears our mark: an OSD in its unit, the others in a file that we write."""
    if kind == "osd":
        return units.is_changed(host, f"ceph-osd@{name}.service")
    file = "done" if kind == "mon" else "keyring"
    return (text_at(host, f"{STATE}/{kind}/ceph-{name}/{file}") or "").startswith(MARK)
