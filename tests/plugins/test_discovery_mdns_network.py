"""Discovery by multicast DNS between two machines: each address family, one interface alone, firewalls."""

import ctypes
import os
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcloud import Beacon, DiscoveryError, Search
from mcloud_discovery_mdns import plugin
from mcloud_discovery_mdns.group import GROUPS, PORT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")

PATIENCE = 10.0
CLONE_NEWNET = 0x40000000
ADDRESSES = {
    "IPv4 only": ("10.99.0.1", "10.99.0.2"),
    "IPv6 only": ("fd99::1", "fd99::2"),
    "link-local only": ("fe80::1%eth0", "fe80::2%eth0"),
}


class Machine:
    """A network namespace that lives as long as a process in it."""

    def __init__(self, process):
        self.pid = process.pid

    def run(self, *argv, stdin=None):
        """Run a tool in it."""
        inside = ["/usr/bin/nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv]
        subprocess.run(inside, input=stdin, text=True, check=True, capture_output=True)

    def here(self, function):
        """Return what a function does on this machine; sockets belong where the thread is that opens them."""

        def moved():
            with Path(f"/proc/{self.pid}/ns/net").open() as held:
                assert ctypes.CDLL(None).setns(held.fileno(), CLONE_NEWNET) == 0
            return function()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(moved).result()

    def search(self, seconds=PATIENCE, *, most=1, **known):
        """Return the first beacons that a search on it finds."""

        def searched():
            found = plugin.discover(Search(seconds=seconds, **known))
            beacons = [beacon for _, beacon in zip(range(most), found, strict=False)]
            found.close()
            return beacons

        return self.here(searched)

    @contextmanager
    def announcing(self, address):
        """Announce an initiator on it while the context is open."""
        begun, over = threading.Event(), threading.Event()

        def announce():
            with plugin.announce(Beacon(name="n1", address=address, port=9442, session="s", version=1)):
                begun.set()
                over.wait()

        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(self.here, announce)
            running.add_done_callback(lambda _: begun.set())
            begun.wait()
            try:
                yield
            finally:
                over.set()
                running.result()


@pytest.fixture
def two():
    """Give two machines whose eth0 and eth1 are wired to each other, without addresses."""
    holders = [subprocess.Popen(["/usr/bin/unshare", "--net", "/usr/bin/sleep", "infinity"]) for _ in "12"]
    try:
        own = Path("/proc/self/ns/net").readlink()
        while any(Path(f"/proc/{holder.pid}/ns/net").readlink() == own for holder in holders):
            pass
        machines = [Machine(holder) for holder in holders]
        for nic in ("eth0", "eth1"):
            machines[0].run(
                "ip", "link", "add", nic, "type", "veth", "peer", nic, "netns", str(machines[1].pid)
            )
            for machine in machines:
                machine.run("ip", "link", "set", nic, "addrgenmode", "none", "up")
        yield machines
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def give(machine, address, nic="eth0"):
    length = {"10": "24", "fd": "64", "fe": "64"}[address[:2]]
    nodad = ["nodad"] if ":" in address else []
    machine.run("ip", "address", "add", f"{address.partition('%')[0]}/{length}", "dev", nic, *nodad)


@pytest.mark.parametrize("addresses", ADDRESSES.values(), ids=ADDRESSES)
def test_machines_of_one_family_find_each_other(two, addresses):
    for machine, address in zip(two, addresses, strict=True):
        give(machine, address)
    with two[0].announcing(addresses[0]):
        (beacon,) = two[1].search(address=addresses[1])
    assert str(beacon.address) == addresses[0]


def test_a_joiner_that_says_nothing_of_itself_searches_on_all_interfaces(two):
    for machine, addresses in zip(two, zip(*ADDRESSES.values(), strict=True), strict=True):
        for address, nic in zip(addresses, ("eth0", "eth0", "eth1"), strict=True):
            give(machine, address, nic)
    with two[0].announcing("fd99::1"):
        (beacon,) = two[1].search()
    assert str(beacon.address) == "fd99::1"


def test_only_the_interface_of_the_own_address_is_heard(two):
    for machine, address in zip(two, ("10.99.0.1", "10.99.0.2"), strict=True):
        give(machine, address)
    give(two[1], "10.98.0.2", "eth1")

    def another_responder():
        door = socket.socket(type=socket.SOCK_DGRAM)
        membership = socket.inet_aton(GROUPS["IPv4"]) + socket.inet_aton("10.99.0.2")
        door.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        return door

    with two[0].announcing("10.99.0.1"), two[1].here(another_responder), ThreadPoolExecutor(1) as others:
        # Another joiner makes the initiator answer on eth0, where this one must not listen.
        asking = others.submit(two[1].search, interface="eth0")
        with pytest.raises(DiscoveryError, match=r"on eth1 \(224\.0\.0\.251\).* nothing at all came back"):
            two[1].search(1.5, address="10.98.0.2")
        assert asking.result()


@pytest.mark.parametrize(("change", "told"), [("down", "is down"), ("multicast off", "cannot do multicast")])
def test_an_interface_that_cannot_is_told_at_once(two, change, told):
    give(two[1], "10.99.0.2")
    two[1].run("ip", "link", "set", "eth0", *change.split())
    with pytest.raises(DiscoveryError, match=f"no mDNS on eth0: the interface {told}") as caught:
        two[1].search(60, address="10.99.0.2")
    assert "--initiator-address" in caught.value.hint


def test_an_address_on_the_loopback_interface_is_told_at_once(two):
    give(two[0], "10.99.0.1", "lo")
    with pytest.raises(DiscoveryError, match="the interface leads to this machine alone"):
        two[0].search(60, address="10.99.0.1")


@pytest.mark.parametrize("addresses", ADDRESSES.values(), ids=ADDRESSES)
def test_other_responders_on_both_machines_do_not_keep_them_from_finding_each_other(two, addresses):
    """They share the port, and may be given what is sent to the machine alone."""

    def another_responder():
        doors = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
        for door in doors:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        doors[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for door in doors:
            door.bind(("", PORT))
        return doors

    for machine, address in zip(two, addresses, strict=True):
        give(machine, address)
    others = [door for machine in two for door in machine.here(another_responder)]
    with two[0].announcing(addresses[0]):
        (beacon,) = two[1].search(address=addresses[1])
    assert str(beacon.address) == addresses[0]
    for door in others:
        door.close()


def filtered(hook):
    return f"""table inet own {{
        chain own {{
            type filter hook {hook} priority 0
            udp dport {PORT} drop
        }}
    }}
    """


def test_a_firewall_that_lets_nothing_out_is_told_at_once(two):
    give(two[1], "10.99.0.2")
    give(two[1], "fd99::2")
    two[1].run("nft", "-f", "-", stdin=filtered("output"))
    with pytest.raises(DiscoveryError, match="does not send to the mDNS group on eth0: 224") as caught:
        two[1].search(60, address="10.99.0.2")
    assert caught.value.message.count("operation not permitted") == 2
    with pytest.raises(DiscoveryError, match="does not send"), two[1].announcing("10.99.0.2"):
        pytest.fail("announced")


def test_a_firewall_that_lets_nothing_in_is_silence(two):
    for machine, address in zip(two, ("fd99::1", "fd99::2"), strict=True):
        give(machine, address)
    two[1].run("nft", "-f", "-", stdin=filtered("input"))
    with two[0].announcing("fd99::1"), pytest.raises(DiscoveryError, match=r"\(ff02::fb\).*nothing at all"):
        two[1].search(1.5, address="fd99::2")
