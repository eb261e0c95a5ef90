"""Look at what the kernel says of itself, where much may be missing and nothing of it is worth an error."""

from collections.abc import Iterator

from mcloud.errors import McloudError
from mcloud.host import Host
from mcloud.model import printable

SECONDS = 10
"""Deadline of each command of a survey; what hangs is left out."""


def value(host: Host, path: str) -> str:
    """Return the first line of a file fit to be shown; "" if there is none or it cannot be read."""
    return shown(text(host, path).partition("\n")[0])


def text(host: Host, path: str) -> str:
    """Return a file; "" if there is none or it cannot be read."""
    try:
        return host.read(path) or ""
    except McloudError:
        return ""


def number(host: Host, path: str) -> int:
    """Return the number in a file; 0 if there is none."""
    found = value(host, path)
    return int(found) if found.isdecimal() else 0


def said(host: Host, *argv: str) -> str:
    """Return what a command says; "" if it fails or is not there."""
    try:
        return host.run(argv, seconds=SECONDS).stdout
    except McloudError:
        return ""


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the KEY=VALUE lines of a text, quotes off."""
    for line in text.splitlines():
        key, equals, found = line.strip().partition("=")
        if equals and not key.startswith("#"):
            quoted = len(found) > 1 and found[0] == found[-1] and found[0] in "'\""
            yield key, found[1:-1] if quoted else found


def shown(text: str) -> str:
    """Return a device's own words fit for `Printable`: bounded, no control characters, no blanks around."""
    return printable(text).strip()
