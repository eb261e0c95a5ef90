"""Who came to a session and what each machine brings, as rows of a table to pick from."""

import re
from collections.abc import Iterable, Sequence

from mcloud.model import Node, printable
from mcloud.prompting import Row
from mcloud.session.certificates import short
from mcloud.session.lobby import Guest, Lobby, Standing

COLUMNS = ("NAME", "ADDRESS", "FINGERPRINT", "BRINGS")
_VERSION_WIDTH = 5
_IN_WORDS: dict[Standing, str] = {
    "away": "away",
    "trusted": "on its way",
    "parted": "left",
    "failed": "failed",
    "refused": "refused",
}


def rows(lobby: Lobby) -> Sequence[Row]:
    """Return all machines that came and did not quit, by name; open are those who are here.

    A key is a fingerprint: a machine that returns is the same row. One that has not introduced itself
    yet brings nothing.
    """
    return [
        Row(
            key=guest.fingerprint,
            cells=(guest.name, guest.address or "?", short(guest.fingerprint), _brought(guest)),
            closed=state(guest),
        )
        for guest in lobby.all()
        if guest.standing != "parted"
    ]


def state(guest: Guest) -> str:
    """Return where a machine is, if it is not here, and why; fit for one line of the screen."""
    if guest.standing == "here":
        return ""
    what = _IN_WORDS[guest.standing]
    return printable(f"{what}: {guest.reason}" if guest.reason else what)


def absent(lobby: Lobby, names: Iterable[str]) -> str:
    """Return in words which of these machines are not here, and why; "" if all are."""
    found = {name: lobby.named(name) for name in names}
    missing = [name for name, guest in found.items() if guest is None or guest.standing == "trusted"]
    said = [f"{', '.join(missing)} did not come"] if missing else []
    said += [
        f"{name}: {state(guest)}"
        for name, guest in found.items()
        if guest is not None and guest.standing not in {"here", "trusted"}
    ]
    return "; ".join(said)


def brings(node: Node) -> str:
    """Return what a machine brings, in some 50 characters: `lxd 5.0.2, ceph 16.2; 2 disks 20 GB; 8 GB RAM`.

    Its services, as far as they are installed, its free disks and their size in all, and its memory.
    """
    services = ", ".join(
        f"{name} {_in_short(found.version)}".strip()
        for name, found in node.services.items()
        if found.installed
    )
    free = [disk.size for disk in node.survey.disks if not disk.busy and not disk.read_only]
    disks = f"{len(free)} disk{'s' * (len(free) > 1)} {_size(sum(free))}" if free else "no free disk"
    memory = f"{_size(node.survey.memory)} RAM"
    return printable("; ".join((services or "no service", disks, memory)))


def _brought(guest: Guest) -> str:
    return brings(guest.introduction.node) if guest.introduction is not None else ""


def _in_short(version: str) -> str:
    """Return as many parts of a version as are short: 5.0.2, 16.2 of 16.2.15."""
    parts = re.split(r"(?=[^0-9A-Za-z])", version.partition(" ")[0])
    told = parts[0]
    for part in parts[1:]:
        if len(told + part) > _VERSION_WIDTH:
            break
        told += part
    return told[:12]


def _size(number: int) -> str:
    """Return bytes as disks' and memory's makers count them, roughly."""
    for unit, bytes_of_it in (("TB", 10**12), ("GB", 10**9)):
        if number >= bytes_of_it:
            amount = number / bytes_of_it
            return f"{amount:.0f} {unit}" if amount >= 10 or amount == int(amount) else f"{amount:.1f} {unit}"  # noqa: PLR2004
    return f"{number // 10**6} MB"
