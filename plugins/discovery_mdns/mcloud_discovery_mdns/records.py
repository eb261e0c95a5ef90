"""A beacon as DNS records and back: PTR, SRV and TXT of DNS-SD (RFC 6763), A or AAAA."""

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address

from pydantic import ValidationError
from zeroconf import IPVersion, ServiceInfo

from mcloud import Beacon
from mcloud_discovery_mdns.group import TYPE
from mcloud_discovery_mdns.links import Link

SECONDS = 120
"""How long others may keep a record: RFC 6762 section 10, for what depends on a machine being there."""

LONGEST = 200
"""Bytes of one value; with its key it has 255 (RFC 6763 section 6.1)."""


class UnusableError(ValueError):
    """Records that make no beacon; the text says why, in words of our own."""


def written(beacon: Beacon) -> ServiceInfo:
    """Return the records that announce a beacon.

    The instance and the host it points to are named by session: two initiators of one name are two
    instances, and another responder's records of this machine's own name are not touched.
    """
    unique = hashlib.sha256(f"{beacon.session} {beacon.address} {beacon.port}".encode()).hexdigest()[:16]
    plain = re.sub(r"[^a-z0-9-]+", "-", beacon.name.lower())[:40].strip("-")
    label = f"{plain or 'initiator'}-{unique}"
    said = {
        "name": beacon.name,
        "session": beacon.session,
        "version": str(beacon.version),
        "fingerprint": beacon.fingerprint,
    }
    return ServiceInfo(
        TYPE,
        f"{label}.{TYPE}",
        port=beacon.port,
        properties={key: value.encode()[:LONGEST].decode(errors="ignore") for key, value in said.items()},
        server=f"{label}.local.",
        addresses=[beacon.address.packed],
        host_ttl=SECONDS,
        other_ttl=SECONDS,
    )


def read(info: ServiceInfo, link: Link) -> Beacon:
    """Return what an instance's records say. Raises UnusableError: they are incomplete or absurd."""
    text = {key: value or b"" for key, value in info.properties.items()}
    version = text.get(b"version", b"")
    if not info.port:
        raise UnusableError("no port")
    if not re.fullmatch(rb"[0-9]{1,6}", version):
        raise UnusableError("no protocol version")
    try:
        said = {key: text.get(key.encode(), b"").decode() for key in ("name", "session", "fingerprint")}
        return Beacon.model_validate(
            {**said, "version": int(version), "port": info.port, "address": _address(info, link)}
        )
    except UnicodeDecodeError:
        raise UnusableError("not UTF-8") from None
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UnusableError(f"an absurd {field}") from None


def _address(info: ServiceInfo, link: Link) -> str:
    """Return an address that a machine could have; a link-local one with the interface it is good for."""
    for address in info.ip_addresses_by_version(IPVersion.All):
        plain = (IPv4Address if address.version == 4 else IPv6Address)(address.packed)  # noqa: PLR2004
        passing = plain.is_multicast or plain.is_unspecified or plain.is_reserved
        if not passing and plain.is_loopback == link.loopback:
            return f"{plain}%{link.name}" if plain.version == 6 and plain.is_link_local else str(plain)  # noqa: PLR2004
    raise UnusableError("no usable address")
