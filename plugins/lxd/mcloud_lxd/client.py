"""LXD's REST interface on its local socket: the only place that knows its wire.

Source: LXD's `doc/rest-api.yaml` and `doc/api-extensions.md`. What newer versions do otherwise is
switched by API extension, never by version. Every call has a deadline: a member without quorum
does not answer at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from mcloud import Host, ServiceError

SNAP_SOCKET = "/var/snap/lxd/common/lxd/unix.socket"
SOCKET = "/var/lib/lxd/unix.socket"
SWITCHES = frozenset({"explicit_trust_token", "ovn_ssl_config", "storage_remote_drop_source"})
"""API extensions that change what we do."""

PATIENCE = 30.0
"""Seconds an answer may take; a create on all members takes 1 to 3 on a slow machine."""


class LxdError(ServiceError):
    """LXD said no, or nothing: `status` is its HTTP status, None if it did not answer in time."""

    def __init__(self, message: str, *, status: int | None, hint: str = "") -> None:
        """Keep the status."""
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Server:
    """What an LXD says of itself."""

    name: str
    version: str
    clustered: bool
    extensions: frozenset[str]
    drivers: frozenset[str]
    """Storage drivers whose tools and kernel parts it found when it started."""
    config: Mapping[str, str]
    certificate: str
    """PEM; the cluster's own once it is clustered."""
    fingerprint: str = ""
    """SHA-256 of that certificate, hex."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the cluster."""

    name: str
    status: str
    leader: bool


def socket_path(host: Host) -> str:
    """Return the socket of the LXD that is here; the snap's comes first, as for LXD's own client."""
    return SNAP_SOCKET if host.stat(SNAP_SOCKET) else SOCKET


def call(host: Host, method: str, path: str, body: object = None, *, seconds: float = PATIENCE) -> Any:
    """Ask LXD, wait until a background operation has ended, and return the `metadata`. Raises LxdError."""
    answer = ask(host, method, path, body, seconds=seconds)
    if answer.get("type") == "async":
        patience = max(1, int(seconds * host.stretch))
        wait = f"{answer['operation']}/wait?timeout={patience}"
        ended = ask(host, "GET", wait, seconds=seconds + 5)["metadata"]
        if ended["status_code"] != requests.codes.ok:
            said = (
                ended.get("err") or f"it was still {ended.get('status', 'busy').lower()} after {patience} s"
            )
            raise LxdError(f"LXD on {host.name}: {method} {path}: {said}", status=ended["status_code"])
        return ended
    return answer.get("metadata")


def ask(
    host: Host, method: str, path: str, body: object = None, *, seconds: float = PATIENCE
) -> Mapping[str, Any]:
    """Send one request and return the whole answer, also that of an operation that has only begun.

    Raises LxdError, which never holds what was sent: that may be a token.
    """
    try:
        with host.http(socket_path(host)) as session:
            reply = session.request(method, f"http://localhost{path}", json=body, timeout=seconds)
            answer: Mapping[str, Any] = reply.json()
    except (requests.RequestException, OSError) as error:
        raise LxdError(
            f"LXD on {host.name} does not answer {method} {path} ({type(error).__name__})",
            status=None,
            hint="see `systemctl status lxd.socket lxd` and `journalctl -u lxd`; "
            "a member of a cluster without quorum does not answer",
        ) from None
    if answer.get("type") == "error":
        text, status = str(answer.get("error", "")), int(answer.get("error_code", 0))
        raise LxdError(f"LXD on {host.name}: {method} {path}: {text}", status=status)
    return answer


def look(host: Host, path: str, *, seconds: float = PATIENCE) -> Any:
    """Return what is at a path; None where there is no such thing. Raises LxdError otherwise."""
    try:
        return call(host, "GET", path, seconds=seconds)
    except LxdError as error:
        if error.status == requests.codes.not_found:
            return None
        raise


def server(host: Host, *, member: str = "", seconds: float = PATIENCE) -> Server:
    """Return what this LXD, or a member of its cluster, says of itself."""
    said = call(host, "GET", f"/1.0{_target(member)}", seconds=seconds)
    there = said["environment"]
    return Server(
        name=there["server_name"],
        version=there["server_version"],
        clustered=bool(there.get("server_clustered")),
        extensions=frozenset(said["api_extensions"]),
        drivers=frozenset(one["Name"] for one in there.get("storage_supported_drivers") or ()),
        config={key: str(value) for key, value in said["config"].items()},
        certificate=there["certificate"],
        fingerprint=there.get("certificate_fingerprint", ""),
    )


def set_config(host: Host, config: Mapping[str, str], *, member: str = "", seconds: float = PATIENCE) -> None:
    """Change some keys of the server's configuration; an empty value unsets a key."""
    call(host, "PATCH", f"/1.0{_target(member)}", {"config": dict(config)}, seconds=seconds)


def things(host: Host, kind: str, *, seconds: float = PATIENCE) -> Sequence[Mapping[str, Any]]:
    """Return all of a kind (`storage-pools`, `networks`, ...), in full."""
    sign = "&" if "?" in kind else "?"
    found: Sequence[Mapping[str, Any]] = call(host, "GET", f"/1.0/{kind}{sign}recursion=1", seconds=seconds)
    return found or []


def make(host: Host, kind: str, body: Mapping[str, object], *, member: str = "") -> None:
    """Create a pool or network: with `member` what is pending there, without it on all members."""
    call(host, "POST", f"/1.0/{kind}{_target(member)}", body, seconds=120)


def remove(host: Host, path: str, *, seconds: float = PATIENCE) -> None:
    """Delete what is at a path under `/1.0/`; no error if there is nothing."""
    try:
        call(host, "DELETE", f"/1.0/{path}", seconds=seconds)
    except LxdError as error:
        if error.status != requests.codes.not_found:
            raise


def _target(member: str) -> str:
    return f"?target={member}" if member else ""
