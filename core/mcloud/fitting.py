"""Whether a machine that comes fits what the initiator sets up: plugins, services and their versions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version as version_of

from mcloud.model import Node, ServiceState, printable
from mcloud.plugins import Plugins
from mcloud.session.protocol import Introduction, Refusal
from mcloud.session.refusing import same_certificate, same_name

ITSELF = "mcloud"
"""Name under which a joiner tells mcloud's own version, beside those of its plugins."""


def own_version() -> str:
    """Return the version of mcloud on this machine."""
    return version_of("mcloud-cluster")


def unfit(said: Introduction, *, me: Node, services: Sequence[str], plugins: Plugins) -> Refusal | None:
    """Return why a newcomer cannot be taken, None if it fits: each service, what is wanted, what was found.

    `me` is the initiator: the others must have what it has, in a version that fits its own.
    """
    if said.node.fingerprint == me.fingerprint:
        return same_certificate(me, said.node)
    if said.node.name == me.name:
        return same_name(me, said.node)
    problems = tuple(_misfits(said, me, services, plugins))
    if not problems:
        return None
    return Refusal(
        reason=f"it does not fit what {me.name} sets up",
        problems=problems,
        hint="put that right here (--install installs packages), then type the same command again; or let "
        f"{me.name} set up less",
    )


def differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the plugins whose version is another one than wanted: all must make the same plans."""
    return [
        printable(f"{_what(name)}: wanted {version}, as on the initiator; found {found.get(name) or 'none'}")
        for name, version in wanted.items()
        if found.get(name) != version
    ]


def leading(version: str, parts: int) -> tuple[str, ...]:
    """Return the leading parts of a version: (5, 0) of "5.0.2", if two are asked for."""
    return tuple(re.split(r"[^0-9A-Za-z]+", version.strip()))[:parts]


def _misfits(said: Introduction, me: Node, services: Sequence[str], plugins: Plugins) -> Iterator[str]:
    own = {name: plugins.versions[name] for name in services}
    yield from differing(said.versions, {ITSELF: own_version(), **own})
    for name in services:
        mine, theirs = me.services.get(name), said.node.services.get(name)
        if mine is None or not mine.installed:
            continue  # nothing is known here to compare with
        wanted = _wanted(mine.version, plugins.manifests[name].release_parts)
        found = _found(mine.version, theirs, plugins.manifests[name].release_parts)
        if found:
            yield printable(f"{name}: wanted {wanted}, as on {me.name}; found {found}")


def _what(name: str) -> str:
    return "mcloud itself" if name == ITSELF else f"plugin {name}"


def _wanted(version: str, parts: int | None) -> str:
    if not version or parts is None:
        return "it installed"
    kept = ".".join(leading(version, parts))
    return kept if kept == version else f"{kept}.x"


def _found(own: str, theirs: ServiceState | None, parts: int | None) -> str:
    """Return what was found and does not fit, "" if it fits or cannot be told."""
    if theirs is None or not theirs.installed:
        missing = f" ({', '.join(theirs.missing)} missing)" if theirs is not None and theirs.missing else ""
        return f"nothing installed{missing}"
    unknown = parts is None or not own or not theirs.version
    return (
        "" if unknown or leading(own, parts or 0) == leading(theirs.version, parts or 0) else theirs.version
    )
