"""Discovery by multicast DNS, with real packets on the loopback interface: found, told apart."""

import itertools
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zeroconf import DNSOutgoing, ServiceInfo

from mcloud import Beacon, DiscoveryError, Search
from mcloud_discovery_mdns import plugin
from mcloud_discovery_mdns.group import GROUPS, IN, PORT, TO_US, TYPE, opened, question
from mcloud_discovery_mdns.links import links
from mcloud_discovery_mdns.listening import MOST, Ear, Heard
from mcloud_discovery_mdns.records import UnusableError, read, written

OWN = "127.0.0.1"
PATIENCE = 10.0
"""Seconds; no test that goes well uses them up."""


def beacon(name="n1", *, session="s1", port=9442, version=1, **more):
    return Beacon(
        name=name, address=OWN, port=port, session=session, version=version, fingerprint="3f2a9c01", **more
    )


@contextmanager
def search(seconds=PATIENCE):
    """Search on the loopback interface; closed at the end, as it would be in a command."""
    found = plugin.discover(Search(seconds=seconds, address=OWN))
    try:
        yield found
    finally:
        found.close()


@contextmanager
def said(*packets, pause=0.05):
    """Say these to the group, again and again (seconds between two rounds), while the context is open."""
    over = threading.Event()

    def say():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(OWN))
            while not over.wait(pause):
                for one in packets:
                    sender.sendto(one, (GROUPS["IPv4"], PORT))

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def packet(info):
    """Return the packet that announces some records, in the order a responder puts them."""
    out = DNSOutgoing(0x8400)
    for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses()):
        out.add_answer_at_time(record, 0)
    return out.packets()[0]


def announcing(**fields):
    """Return the records of a false initiator, with some fields as given."""
    text = {"name": "n9", "session": "s9", "version": "1", "fingerprint": "00"} | fields.pop("text", {})
    fields = {"port": 9442, "addresses": [socket.inet_aton(OWN)], "name": "false", **fields}
    name = f"{fields.pop('name')}.{TYPE}"
    return ServiceInfo(TYPE, name, server="false.local.", properties=text, **fields)


# ---- found -----------------------------------------------------------------------------------------------


def test_what_is_announced_is_found_as_it_is():
    with plugin.announce(beacon()), search() as found:
        assert next(found) == beacon()


def test_another_protocol_version_is_found_with_its_version():
    with said(packet(written(beacon(version=7)))), search() as found:
        assert next(found) == beacon(version=7)


def test_two_initiators_of_one_name_are_two():
    both = [beacon(session="s1"), beacon(session="s2", port=9443)]
    with ExitStack() as open_:
        for one in both:
            open_.enter_context(plugin.announce(one))
        found = open_.enter_context(search())
        assert {next(found).session for _ in both} == {"s1", "s2"}


def test_an_initiator_that_starts_again_is_found_in_the_same_search():
    with search() as found:
        with plugin.announce(beacon(session="s1")):
            assert next(found).session == "s1"
        with plugin.announce(beacon(session="s2", port=9443)):
            again = next(found)
        assert (again.session, again.port) == ("s2", 9443)


def test_the_same_session_announced_again_after_a_goodbye_is_news():
    with search() as found:
        for _ in range(2):
            with plugin.announce(beacon()):
                assert next(found) == beacon()


def test_a_joiner_may_be_started_first():
    with search() as found, ThreadPoolExecutor(1) as joiner, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.settimeout(PATIENCE)
        for share in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            other.setsockopt(socket.SOL_SOCKET, share, 1)
        other.bind((GROUPS["IPv4"], PORT))
        membership = socket.inet_aton(GROUPS["IPv4"]) + socket.inet_aton(OWN)
        other.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        first = joiner.submit(next, found)
        assert [other.recvfrom(9000)[0] for _ in "12"] == [question(TO_US), question(IN)]
        with plugin.announce(beacon()):
            assert first.result(PATIENCE) == beacon()


def test_fifty_initiators_are_all_found_once():
    fifty = {beacon(f"n{number}", session=f"s{number}") for number in range(50)}
    with said(*(packet(written(one)) for one in fifty)), search() as found:
        assert {next(found) for _ in fifty} == fifty


# ---- not found -------------------------------------------------------------------------------------------


def in_vain(*packets, seconds=0.5):
    with said(*packets), search(seconds) as found, pytest.raises(DiscoveryError) as caught:
        next(found)
    return caught.value


def test_silence_is_told_with_what_was_sent_where_and_what_to_do():
    began = time.monotonic()
    error = in_vain()
    assert time.monotonic() - began < 5
    for part in ("within", TYPE, "lo (224.0.0.251)", "5353", "nothing at all came back"):
        assert part in error.message
    for part in ("--initiator-address", "UDP port 5353", "IGMP snooping", "cloud networks"):
        assert part in error.hint


def test_an_address_that_is_not_ours_is_told_at_once():
    with pytest.raises(
        DiscoveryError, match=r"no network interface of this machine has the address 192\.0\.2\.77"
    ):
        next(plugin.discover(Search(seconds=60, address="192.0.2.77")))


def test_an_interface_that_is_not_there_is_told_at_once():
    with pytest.raises(DiscoveryError, match="no network interface nosuch0"):
        next(plugin.discover(Search(seconds=60, interface="nosuch0")))


def test_a_port_that_is_not_shared_is_told_at_once():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((OWN, PORT))
        with pytest.raises(DiscoveryError, match="held by a program that does not share it"):
            next(plugin.discover(Search(seconds=60, address=OWN)))


def test_announcing_on_an_address_that_is_not_ours_is_an_error():
    with (
        pytest.raises(DiscoveryError, match="has the address"),
        plugin.announce(Beacon(name="n1", address="192.0.2.77", port=1)),
    ):
        pytest.fail("announced")


# ---- junk ------------------------------------------------------------------------------------------------

ABSURD = {
    "no port": {"port": 0},
    "no protocol version": {"text": {"version": "one"}},
    "an absurd name": {"text": {"name": "n1\x1b[2J"}},
    "an absurd session": {"text": {"session": "s\n1"}},
    "not UTF-8": {"text": {"name": b"\xff\xfe"}},
    "no usable address": {"addresses": [socket.inet_aton("224.0.0.1")]},
}


@pytest.mark.parametrize(("why", "fields"), ABSURD.items())
def test_records_that_make_no_beacon_are_refused_with_the_reason(why, fields):
    (link,) = links(beacon().address)
    with pytest.raises(UnusableError, match=why):
        read(announcing(**fields), link)


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "10.0.0.1"])  # noqa: S104
def test_only_addresses_that_can_be_dialled_from_here_are_taken(address):
    (link,) = links(beacon().address)
    with pytest.raises(UnusableError, match="address"):
        read(announcing(addresses=[socket.inet_aton(address)]), link)


def test_names_of_any_kind_survive_the_way():
    (link,) = links(beacon().address)
    for name in ("n1", "N1.example.org", "ünïcode", "", "x" * 255, "é" * 255, "a.b c", "-", "."):
        info = written(beacon(name))
        heard = read(info, link)
        assert name.startswith(heard.name)
        assert len(heard.name.encode()) <= 200
        assert info.name.endswith(f".{TYPE}")


def test_junk_on_the_group_does_not_end_a_search(capfd):
    valid = packet(written(beacon("false")))
    junk = [b"", b"\0", b"\xff" * 9000, valid[:-7], valid[:20], question(IN) * 100]
    junk += [
        struct.pack("!6H", 0, 0x8400, *[9] * 4),
        *(packet(announcing(**absurd)) for absurd in ABSURD.values()),
    ]
    with said(*junk), search() as found, plugin.announce(beacon("honest")):
        assert next(found).name == "honest"
    assert capfd.readouterr() == ("", "")


def test_only_unusable_answers_are_told_as_such():
    error = in_vain(packet(announcing(port=0)), seconds=0.5)
    assert "could not be used (the last has no port)" in error.message
    assert "in the initiator's place" in error.hint


def test_answers_about_other_services_are_told_as_such():
    printer = ServiceInfo("_ipp._tcp.local.", "printer._ipp._tcp.local.", port=631, server="printer.local.")
    error = in_vain(packet(printer), seconds=0.5)
    assert "answers were about other services" in error.message
    assert "--discovery mdns" in error.hint


def test_a_flood_neither_hides_an_initiator_nor_outlasts_the_patience():
    flood = [packet(written(beacon(f"n{number}", session=f"s{number}"))) for number in range(2 * MOST)]
    began = time.monotonic()
    with said(*flood, pause=0.5), search(seconds=2) as found, plugin.announce(beacon("honest")):
        assert "honest" in {one.name for one in found}
    assert time.monotonic() - began < 10


def test_of_too_many_the_latest_are_kept_however_they_come_and_go():
    heard = Heard()
    for number in range(3 * MOST):
        heard.here(("lo", str(number)), beacon(f"n{number}"))
        assert len(heard._known) == len(heard._fresh) <= MOST
    assert [one.name for one in heard.news(0)] == [f"n{number}" for number in range(2 * MOST, 3 * MOST)]
    for number in range(3 * MOST):
        heard.gone(("lo", str(number)))
    assert not heard._known
    assert heard.news(0) == []
    assert not heard.nobody


@pytest.fixture(scope="module")
def listening():
    """Give what a group's listener has heard, and a function that says something to the group."""
    (link,) = links(beacon().address)
    with opened(link) as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(OWN))
        heard = Heard()
        group.zeroconf.add_listener(Ear(group, heard), None)
        yield heard, lambda packet: sender.sendto(packet, (GROUPS["IPv4"], PORT))


FIELDS = st.fixed_dictionaries(
    {
        "port": st.integers(0, 65535),
        "name": st.sampled_from(["false", "a.b", "  ", "é" * 20, "x" * 63, "FALSE"]),
        "text": st.dictionaries(
            st.sampled_from(["name", "session", "version", "fingerprint", "other"]),
            st.binary(max_size=200),
            max_size=5,
        ),
    }
)
NUMBERS = itertools.count()
CUTS = st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=4)), max_size=6)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(random=st.binary(max_size=600), fields=FIELDS, cuts=CUTS, length=st.integers(0, 600))
def test_no_packet_whatever_ends_a_search(listening, random, fields, cuts, length):
    heard, say = listening
    content = bytearray(packet(announcing(**fields)))
    for place, new in cuts:
        content[place : place + len(new)] = new
    for one in (random, struct.pack("!6H", 0, 0x8400, 0, 9, 9, 9) + random, content, content[:length]):
        say(bytes(one))
    honest = beacon("honest", session=str(next(NUMBERS)))
    deadline = time.monotonic() + 5
    wanted = packet(written(honest))
    say(wanted)
    while honest not in heard.news(0.2):
        assert time.monotonic() < deadline, "nobody listens any more"
        say(wanted)
