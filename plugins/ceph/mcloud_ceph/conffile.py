"""ceph.conf as Ceph itself reads it: whose it is, which cluster it names, whether what we wrote is taken."""

import json
import re
from contextlib import suppress
from ipaddress import ip_address

from mcloud import Host, ServiceError
from mcloud_ceph.files import ADMIN_KEYRING, CLIENT_KEYRING, CONF, MARK

READER = "/usr/bin/ceph-conf"
"""Of package ceph-common. It reads a file with Ceph's own parser and needs no cluster."""
_FOLDER = CONF.rpartition("/")[0]
_OWN = (ADMIN_KEYRING, CLIENT_KEYRING)
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NO_CLUSTER = "00000000-0000-0000-0000-000000000000"


def text_at(host: Host, path: str) -> str | None:
    """Return what is in a file that anybody may have written; None where there is none."""
    content = host.image(path).content
    return None if content is None else content.decode(errors="replace")


def is_ours(host: Host, path: str) -> bool:
    """Say whether a file in /etc/ceph bears our mark."""
    return (text_at(host, path) or "").startswith(MARK)


def fsid_at(host: Host) -> str | None:
    """Return the id of the cluster in this machine's ceph.conf; None if it names none, or is not there."""
    text = text_at(host, CONF)
    if text is None:
        return None
    lines = [line for line in text.splitlines() if "fsid" in line.lower()]
    plain = re.fullmatch(rf"fsid = ({_UUID})", lines[0]) if len(lines) == 1 else None
    if plain and text.startswith(MARK):
        return plain[1].lower()  # as we wrote it: this is looked at often
    if host.stat(READER) is None:
        return _likely(lines)
    # What a monitor is told in a section of its own counts for it alone.
    found = (_shown(host, name) for name in ("client.admin", "mon.a"))
    return next((fsid for fsid in found if fsid), None)


def fsid_here(host: Host) -> str:
    """Return the id of this machine's cluster; ServiceError where there is none."""
    fsid = fsid_at(host)
    if fsid is None:
        raise ServiceError(f"{CONF} of this machine names no cluster", hint="run the same command again")
    return fsid


def write_conf(host: Host, text: str) -> None:
    """Write ceph.conf, and see that Ceph reads each line of it as it stands there.

    Ceph leaves out, without a word, what it cannot read as a value of the option's type (`yes`, `4GiB`).
    Raises ServiceError that names such lines.
    """
    host.write(CONF, text)
    if wrong := [line for kind, lines in _sections(text).items() for line in _misread(host, kind, lines)]:
        raise ServiceError(
            f"Ceph does not read these lines of {CONF} as they stand there: {'; '.join(wrong)}",
            hint="the settings that they come from are not what this release of Ceph takes",
        )


def _sections(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return the lines, as key and value, by the kind of daemon that their section is for."""
    found: dict[str, list[tuple[str, str]]] = {}
    kind = "global"
    for line in text.splitlines():
        if line.startswith("["):
            kind = line.strip("[]").partition(".")[0]
        elif " = " in line and not line.startswith("#"):
            key, _, value = line.partition(" = ")
            found.setdefault(kind, []).append((key, value))
    return found


def _misread(host: Host, kind: str, lines: list[tuple[str, str]]) -> list[str]:
    """Return the lines of a section that Ceph takes for something else than they say."""
    # Of [global] any client takes all; of a section only who it is for.
    read = _all_shown(host, "client.admin" if kind in {"global", "client"} else f"{kind}.0")
    return [
        f"{key} = {value} ({f'it takes {read[key]}' if key in read else 'it knows no such option'})"
        for key, value in lines
        if not _same(value, read.get(key))
    ]


def of_others(host: Host) -> tuple[str, ...]:
    """Return the files at our own paths in /etc/ceph that mcloud did not make: they would be in the way."""
    there = [path for path in (CONF, *_OWN) if text_at(host, path) is not None]
    # Keys beside a ceph.conf of ours are ours also without a mark: earlier versions set none.
    return () if is_ours(host, CONF) else tuple(path for path in there if not is_ours(host, path))


def keys_beside(host: Host) -> tuple[str, ...]:
    """Return other keyrings in /etc/ceph under Ceph's usual name: not in the way, and not ours."""
    names = [name for name in host.list(_FOLDER) if re.fullmatch(r"ceph\..+\.keyring", name)]
    return tuple(path for path in (f"{_FOLDER}/{name}" for name in names) if path not in _OWN)


def _shown(host: Host, name: str) -> str | None:
    said = host.run(
        [READER, "--conf", CONF, "--name", name, "--show-config-value", "fsid"], check=False, seconds=20
    )
    fsid = said.stdout.strip().lower()
    return fsid if said.ok and re.fullmatch(_UUID, fsid) and fsid != _NO_CLUSTER else None


def _likely(lines: list[str]) -> str | None:
    """Return what lines would say to Ceph, which is not installed here: also with quotes or a comment."""
    found = (re.match(rf"""\s*fsid\s*=\s*["'{{]?({_UUID})""", line) for line in reversed(lines))
    return next((one[1].lower() for one in found if one), None)


def _all_shown(host: Host, name: str) -> dict[str, str]:
    """Return all options as a client or daemon takes them with this machine's ceph.conf, by their names."""
    shown = host.run([READER, "--conf", CONF, "--name", name, "--dump-all", "--format", "json"], seconds=20)
    with suppress(ValueError):
        return {str(key): str(value) for key, value in json.loads(shown.stdout).items()}
    raise ServiceError(f"{READER} does not tell what it reads in {CONF}", hint="is ceph-common whole?")


def _same(written: str, read: str | None) -> bool:
    """Whether an option was taken: the same words, the same number, or the same address."""
    if read is None or written == read:
        return read is not None
    with suppress(ValueError):
        return float(written) == float(read)
    # An address is shown with the messenger's version, a port and a nonce: v2:10.0.0.1:0/0, v2:[fd00::1]:0/0.
    # A list of one is shown as that one.
    if written.startswith("[v") and read == f"{written[1:-1]}/0":
        return True
    shown = re.fullmatch(r"(?:\w+:)?\[?([0-9a-fA-F.:]+?)\]?:\d+/\d+", read)
    with suppress(ValueError):
        return shown is not None and ip_address(shown[1]) == ip_address(written)
    return False
