"""Discovery by a given address: IPv4, IPv6 and names become beacons, again and again, for a bounded time."""

import itertools
import socket
import time

import pytest

from mcloud import DiscoveryError, Search
from mcloud_discovery_static import plugin


def search(*initiators, seconds=0.0):
    return plugin.discover(Search(seconds=seconds, initiators=initiators))


def addresses(*initiators):
    return [str(beacon.address) for beacon in search(*initiators)]


@pytest.mark.parametrize("address", ["10.10.0.11", "fd10:10::11", "127.0.0.1"])
def test_an_address_is_a_beacon_with_its_port(address):
    (beacon,) = search((address, 9442))
    assert (str(beacon.address), beacon.port, beacon.name) == (address, 9442, address)


def test_a_link_local_address_keeps_its_interface():
    (address,) = addresses(("fe80::1%lo", 9442))
    assert address in {"fe80::1%lo", f"fe80::1%{socket.if_nametoindex('lo')}"}


def test_a_name_is_each_of_its_addresses_once():
    known = {entry[4][0] for entry in socket.getaddrinfo("localhost", 9442)}
    found = addresses(("localhost", 9442))
    assert set(found) == known
    assert len(found) == len(known)


def test_all_that_are_given_are_yielded():
    assert addresses(("10.10.0.11", 9442), ("fd10:10::11", 9442)) == ["10.10.0.11", "fd10:10::11"]


def test_it_goes_on_while_there_is_patience(monkeypatch):
    monkeypatch.setattr(plugin, "PAUSE", 0.01)
    beacons = list(itertools.islice(search(("10.10.0.11", 9442), seconds=60), 5))
    assert {str(beacon.address) for beacon in beacons} == {"10.10.0.11"}


def test_it_ends_with_its_patience(monkeypatch):
    monkeypatch.setattr(plugin, "PAUSE", 0.01)
    began = time.monotonic()
    assert len(list(search(("10.10.0.11", 9442), seconds=0.05))) > 1
    assert time.monotonic() - began < 5


def test_without_an_address_it_says_how_to_give_one():
    with pytest.raises(DiscoveryError) as caught:
        list(search())
    assert "--initiator-address" in caught.value.hint


NOWHERE = [f"{'a' * 64}.example", "no blanks please", "256.1.1.1.invalid"]


@pytest.mark.parametrize("name", NOWHERE)
def test_a_name_that_never_has_an_address_is_named_at_the_end(name):
    with pytest.raises(DiscoveryError, match=r"no address was found for ") as caught:
        list(search((name, 9442)))
    assert name in caught.value.message


@pytest.mark.parametrize("name", NOWHERE)
def test_one_bad_name_does_not_stop_the_others(name):
    assert addresses((name, 9442), ("10.10.0.11", 9442)) == ["10.10.0.11"]


def test_a_name_may_come_to_life_later(monkeypatch):
    monkeypatch.setattr(plugin, "PAUSE", 0.01)
    answers = iter([socket.gaierror(-2, "Name or service not known")])
    real = socket.getaddrinfo

    def not_yet(host, port, **how):
        for error in answers:
            raise error
        return real("10.10.0.11", port, **how)

    monkeypatch.setattr(plugin.socket, "getaddrinfo", not_yet)
    beacon = next(search(("n1.example", 9442), seconds=60))
    assert (beacon.name, str(beacon.address)) == ("n1.example", "10.10.0.11")


def test_announcing_changes_nothing():
    with plugin.announce():
        assert plugin.manifest().settings is None
