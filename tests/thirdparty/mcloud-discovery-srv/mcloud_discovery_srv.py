"""Discovery by DNS SRV records, for networks without multicast: `_mcloud._tcp.DOMAIN` names the initiators.

An operator publishes the records (RFC 2782), by hand or by the cloud's own DNS; nothing is announced:

    _mcloud._tcp.example.org.  30  SRV  0 0 9442 n1.example.org.
    n1.example.org.            30  A    10.10.0.11
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Annotated

import dns.resolver
from dns.exception import DNSException
from dns.rdatatype import RdataType
from pydantic import Field, ValidationError

from mcloud import API, Ask, Beacon, DiscoveryError, Manifest, Search, Settings, hookimpl

PAUSE, LONGEST = 1.0, 30.0
"""Seconds between two questions: at least, also where records last shorter, and at most."""

ANSWER = 3.0
"""Seconds for one answer."""

MOST = 64
"""Records that are followed; more initiators than that have no person to choose among them."""


class SrvSettings(Settings):
    """Where the records are."""

    domain: Annotated[str, Ask("Domain whose DNS names the initiator")] = Field(
        default="",
        max_length=240,
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="Domain that has the SRV records; if empty, the search domain of /etc/resolv.conf",
        examples=["example.org"],
    )


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(api=API, summary="Finds the initiator by DNS SRV records", settings=SrvSettings)


@hookimpl
def announce() -> AbstractContextManager[None]:
    """Announce nothing: the records are the operator's."""
    return nullcontext()


@hookimpl
def discover(search: Search, settings: SrvSettings) -> Iterator[Beacon]:
    """Yield the initiators that the records name, and look again whenever the records run out."""
    resolver = _resolver()
    name = _name(resolver, settings.domain)
    deadline, found, trouble = time.monotonic() + search.seconds, False, ""
    while True:
        pause = PAUSE
        try:
            answer = resolver.resolve(name, "SRV", lifetime=ANSWER, search=False)
            for beacon in _beacons(resolver, answer):
                found = True
                yield beacon
            pause = min(max(PAUSE, answer.rrset.ttl if answer.rrset else 0), LONGEST)
            trouble = "its hosts have no addresses"
        except DNSException as error:
            trouble = str(error).partition("\n")[0]
        if time.monotonic() + PAUSE > deadline:
            break
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
    if not found:
        raise DiscoveryError(
            f"no initiator in DNS: asked {_servers(resolver)} for the SRV records of {name}; {trouble}",
            hint=f"publish `{name}. SRV 0 0 9442 HOST.`, set the domain, or use --initiator-address",
        )


def _resolver() -> dns.resolver.Resolver:
    """Return the machine's own resolver, as /etc/resolv.conf has it."""
    try:
        return dns.resolver.Resolver()
    except DNSException as error:
        raise DiscoveryError(
            f"this machine has no DNS: {error}", hint="see /etc/resolv.conf, or use --initiator-address"
        ) from error


def _name(resolver: dns.resolver.Resolver, domain: str) -> str:
    """Return the name to ask for."""
    own = domain or next((one.to_text() for one in resolver.search), "") or resolver.domain.to_text()
    if not own.strip("."):
        raise DiscoveryError(
            "it is not clear which domain names the initiator",
            hint="set `domain` in the section `srv` of the file, or a search domain in /etc/resolv.conf",
        )
    return f"_mcloud._tcp.{own.strip('.')}"


def _beacons(resolver: dns.resolver.Resolver, answer: dns.resolver.Answer) -> Iterator[Beacon]:
    """Yield the initiators of these records, at each of their addresses; what makes no beacon is left out."""
    for host, port in _targets(answer):
        for address in _addresses(resolver, host):
            with suppress(ValidationError):
                yield Beacon.model_validate({"name": host, "address": address, "port": port})


def _targets(answer: dns.resolver.Answer) -> list[tuple[str, int]]:
    """Return hosts and ports, the preferred ones first; a host `.` says that there is no such service."""
    records = sorted(answer, key=lambda record: (record.priority, -record.weight))[:MOST]
    named = ((record.target.to_text(omit_final_dot=True), record.port) for record in records)
    return [(host, port) for host, port in dict.fromkeys(named) if host and port]


def _addresses(resolver: dns.resolver.Resolver, host: str) -> list[str]:
    """Return the addresses of a host; none if it has none just now."""
    found: list[str] = []
    for kind in (RdataType.A, RdataType.AAAA):
        try:
            found += [
                record.address for record in resolver.resolve(host, kind, lifetime=ANSWER, search=False)
            ]
        except DNSException:
            continue
    return found


def _servers(resolver: dns.resolver.Resolver) -> str:
    return ", ".join(str(server) for server in resolver.nameservers) or "no server"
