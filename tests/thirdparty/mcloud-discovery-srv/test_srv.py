"""The plugin keeps mcloud's contract, and follows the records of a DNS server as they come and go."""

import socket
import threading
import time

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import mcloud_discovery_srv as plugin
import pytest

from mcloud import DiscoveryError, Search
from mcloud.testing import PluginContract

OWN = "127.0.0.1"
NAME = "_mcloud._tcp.example.org."
PUBLISHED = {
    (NAME, "SRV"): ["20 0 9442 n2.example.org.", "10 0 9443 n1.example.org."],
    ("n1.example.org.", "A"): ["10.10.0.11"],
    ("n1.example.org.", "AAAA"): ["fd10:10::11"],
    ("n2.example.org.", "A"): ["10.10.0.12"],
}


class TestSrv(PluginContract):
    name = "srv"
    plugin: object = plugin
    settings = {"domain": "example.org"}  # noqa: RUF012 - the contract's way


@pytest.fixture
def zone(monkeypatch):
    """Give the records that a DNS server on this machine answers with; they may be changed."""
    records: dict[tuple[str, str], list[str]] = {}
    with socket.socket(type=socket.SOCK_DGRAM) as door:
        door.bind((OWN, 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [OWN], door.getsockname()[1]
        resolver.search = [dns.name.from_text("example.org")]
        monkeypatch.setattr(plugin, "_resolver", lambda: resolver)
        monkeypatch.setattr(plugin, "PAUSE", 0.02)
        monkeypatch.setattr(plugin, "LONGEST", 0.02)
        server = threading.Thread(target=_serve, args=(door, records))
        server.start()
        yield records
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", door.getsockname())
        server.join()


def _serve(door, records):
    while wire := door.recvfrom(4096):
        if not wire[0]:
            return
        reply = dns.message.make_response(dns.message.from_wire(wire[0]))
        question = reply.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if given := records.get((name, kind)):
            reply.answer.append(dns.rrset.from_text(question.name, 30, "IN", kind, *given))
        elif not any(known == name for known, _ in records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        door.sendto(reply.to_wire(), wire[1])


def search(seconds=0.0, domain="example.org"):
    return plugin.discover(Search(seconds=seconds), plugin.SrvSettings(domain=domain))


def test_all_initiators_are_found_at_all_addresses_the_preferred_first(zone):
    zone |= PUBLISHED
    found = [(beacon.name, str(beacon.address), beacon.port) for beacon in search()]
    assert found == [
        ("n1.example.org", "10.10.0.11", 9443),
        ("n1.example.org", "fd10:10::11", 9443),
        ("n2.example.org", "10.10.0.12", 9442),
    ]


def test_the_search_domain_is_asked_where_none_is_set(zone):
    zone |= PUBLISHED
    assert next(search(domain="")).name == "n1.example.org"


def test_records_may_appear_and_change_later(zone):
    found = search(seconds=20)
    threading.Timer(0.1, zone.update, [PUBLISHED]).start()
    assert str(next(found).address) == "10.10.0.11"
    zone["n1.example.org.", "A"] = ["10.10.0.99"]
    assert any(str(beacon.address) == "10.10.0.99" for beacon in found)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ({}, "does not exist"),
        ({(NAME, "A"): ["10.10.0.11"]}, "does not contain an answer"),
        ({(NAME, "SRV"): ["0 0 9442 n9.example.org."]}, "its hosts have no addresses"),
        ({(NAME, "SRV"): ["0 0 0 ."]}, "its hosts have no addresses"),
    ],
)
def test_the_end_says_what_was_asked_and_what_came(zone, records, told):
    zone |= records
    with pytest.raises(DiscoveryError, match=told) as caught:
        list(search(seconds=0.1))
    assert f"asked {OWN} for the SRV records of _mcloud._tcp.example.org" in caught.value.message
    assert "--initiator-address" in caught.value.hint


def test_a_server_that_does_not_answer_does_not_outlast_the_patience(monkeypatch):
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind((OWN, 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [OWN], silent.getsockname()[1]
        monkeypatch.setattr(plugin, "_resolver", lambda: resolver)
        monkeypatch.setattr(plugin, "ANSWER", 0.2)
        began = time.monotonic()
        with pytest.raises(DiscoveryError, match="no initiator in DNS"):
            list(search())
        assert time.monotonic() - began < 5


def test_names_that_make_no_beacon_are_left_out(zone):
    zone |= PUBLISHED
    long = ".".join(["\\001" * 60] * 4)
    zone[NAME, "SRV"] = [f"0 0 9442 {long}.", *PUBLISHED[NAME, "SRV"]]
    zone[f"{long}.", "A"] = ["10.10.0.13"]
    assert {beacon.name for beacon in search()} == {"n1.example.org", "n2.example.org"}
