"""What beacons add up to: each initiator once, restarts replaced, floods bounded, junk passed over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcloud.finding import ADDRESSES, MOST, OF_A_NAME, Sightings
from mcloud.model import Beacon
from mcloud.session.protocol import VERSION

MARK = "3f2a9c0177de04b8"


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sightings(clock):
    return Sightings(given=(("first.example", 9442), ("10.0.0.1", 9442)), clock=clock)


def beacon(name="n1", address="10.0.0.1", **more):
    whole = {"port": 9442, "session": "aa", "version": VERSION, "fingerprint": MARK, **more}
    return Beacon.model_validate({"name": name, "address": address, **whole})


def bare(name, address, port=9442):
    return Beacon.model_validate({"name": name, "address": address, "port": port})


def hear(sightings, *beacons, plugin="mdns"):
    for one in beacons:
        sightings.clock.now += 1
        sightings.hear(plugin, one)


def test_an_initiator_heard_again_and_again_is_one(sightings):
    hear(sightings, *[beacon()] * 5)
    (one,) = sightings.found()
    assert (one.name, one.addresses, one.port, one.version) == ("n1", ("10.0.0.1",), 9442, VERSION)
    assert one.mark == "3f2a 9c01 77de 04b8"
    assert one.plugins == ("mdns",)
    assert not one.closed


def test_both_families_are_one_initiator_with_two_addresses(sightings):
    hear(sightings, beacon(), beacon(address="fe80::1%eth0"), beacon(address="2001:db8::1"))
    (one,) = sightings.found()
    assert one.addresses == ("10.0.0.1", "fe80::1%eth0", "2001:db8::1")


@pytest.mark.parametrize("first", ["mdns", "srv"])
def test_two_plugins_that_find_the_same_are_one_row(sightings, first):
    other = {"mdns": "srv", "srv": "mdns"}[first]
    hear(sightings, beacon(), plugin=first)
    hear(sightings, beacon(), beacon(fingerprint=MARK + "e1c9"), plugin=other)
    (one,) = sightings.found()
    assert one.plugins == (first, other)


@pytest.mark.parametrize("bare_first", [True, False])
def test_an_address_that_was_given_is_the_initiator_that_is_heard_there(sightings, bare_first):
    said = [(bare("first.example", "10.0.0.1"), "static"), (beacon(), "mdns")]
    for one, plugin in said if bare_first else reversed(said):
        hear(sightings, one, plugin=plugin)
    (one,) = sightings.found()
    assert (one.name, one.session, one.given) == ("n1", "aa", True)
    assert set(one.plugins) == {"static", "mdns"}


def test_a_name_with_several_addresses_is_one_initiator(sightings):
    hear(sightings, bare("first.example", "10.0.0.1"), bare("first.example", "2001:db8::1"), plugin="static")
    (one,) = sightings.found()
    assert one.addresses == ("10.0.0.1", "2001:db8::1")
    assert one.given
    assert one.version == 0
    assert not one.closed


def test_two_machines_of_one_name_are_two(sightings):
    hear(sightings, beacon(), beacon(address="10.0.0.2", session="bb", fingerprint="00" * 8))
    one, other = sightings.found()
    assert one.name == other.name
    assert one.key != other.key


def test_a_restart_replaces_the_session_with_all_its_addresses(sightings):
    hear(sightings, beacon(), beacon(address="2001:db8::1"))
    (before,) = sightings.found()
    hear(sightings, beacon(session="bb"))
    (after,) = sightings.found()
    assert after.session == "bb"
    assert not after.is_still(before)
    hear(sightings, beacon(), beacon(address="2001:db8::1"))  # an echo of what is over
    assert sightings.found() == (after,)


def test_more_that_is_known_of_it_makes_it_no_other(sightings):
    hear(sightings, bare("first.example", "10.0.0.1"), plugin="static")
    (before,) = sightings.found()
    hear(sightings, beacon(), beacon(address="2001:db8::1"))
    (after,) = sightings.found()
    assert after.is_still(before)
    assert not sightings.found()[0].is_still(
        after.__class__(key="x", name="n1", addresses=("10.0.0.1",), port=1)
    )


def test_another_version_is_shown_and_closed(sightings):
    hear(sightings, beacon(version=99))
    (one,) = sightings.found()
    assert one.closed == f"speaks protocol 99, this mcloud speaks {VERSION}"


def test_who_copies_a_beacon_with_another_version_or_name_does_not_close_or_rename_it(sightings):
    hear(sightings, beacon(), beacon(version=7), beacon(name="evil"))
    (one,) = sightings.found()
    assert (one.name, one.version) == ("n1", VERSION)


def test_who_says_another_certificate_is_another_row_and_a_lie_is_forgotten_for_good(sightings):
    hear(sightings, beacon(), beacon(fingerprint="00" * 8))
    assert len(sightings.found()) == 2
    sightings.refuse("10.0.0.1", 9442, "00" * 8)
    hear(sightings, beacon(fingerprint="00" * 8))
    (one,) = sightings.found()
    assert one.fingerprint == MARK


def test_a_false_address_of_a_true_initiator_is_refused_alone(sightings):
    hear(sightings, beacon(), beacon(address="10.6.6.6"))
    sightings.refuse("10.6.6.6", 9442, MARK)
    (one,) = sightings.found()
    assert one.addresses == ("10.0.0.1",)


def test_what_a_plugin_does_not_hear_any_more_is_forgotten_and_the_others_hearings_are_not(sightings, clock):
    hear(sightings, beacon())
    hear(sightings, bare("10.0.0.1", "10.0.0.1"), plugin="static")
    sightings.forget("mdns", before=clock.now + 1)
    (one,) = sightings.found()
    assert one.plugins == ("static",)


@pytest.mark.parametrize("fingerprint", ["no hex", "3f2", "0" * 65, "a" * 64, "3F:2A 9C"])
def test_a_fingerprint_is_hex_or_the_beacon_is_junk(sightings, fingerprint):
    hear(sightings, beacon(fingerprint=fingerprint))
    fits = fingerprint not in {"no hex", "0" * 65}
    assert len(sightings.found()) == fits


# ---- floods ----------------------------------------------------------------------------------------------


def flood(count, **fixed):
    for number in range(count):
        whole = {"name": f"f{number}", "session": f"{number:x}x", "fingerprint": f"{number:016x}", **fixed}
        yield beacon(address=f"10.9.{number // 250 % 250}.{number % 250 + 1}", **whole)


def test_who_was_heard_before_a_flood_does_not_drown_in_it(sightings):
    hear(sightings, beacon(), *flood(2000))
    assert sightings.found()[0].name == "n1"
    assert len(sightings.found()) <= MOST


def test_who_comes_in_a_flood_is_seen_and_stays_if_it_is_heard_again(sightings):
    for number, one in enumerate(flood(2000)):
        hear(sightings, one)
        if number % 50 == 0:
            hear(sightings, beacon())
    assert "n1" in {one.name for one in sightings.found()}


def test_a_flood_in_ones_own_name_takes_the_places_of_that_name_only(sightings):
    hear(sightings, beacon(), beacon(name="n2", address="10.0.0.2", session="bb", fingerprint="11" * 8))
    hear(sightings, *flood(500, name="n1"))
    assert sum(one.name == "n1" for one in sightings.found()) <= OF_A_NAME
    assert {one.fingerprint for one in sightings.found()} >= {MARK, "11" * 8}


def test_a_flood_by_one_plugin_does_not_touch_what_another_found(sightings):
    hear(sightings, *flood(2000))
    hear(sightings, bare("10.0.0.1", "10.0.0.1"), plugin="static")
    hear(sightings, *flood(4000))
    assert any(one.given for one in sightings.found())


def test_a_flood_of_addresses_is_cut_short_and_the_first_is_kept(sightings):
    hear(sightings, beacon(), *flood(100, session="aa", fingerprint=MARK))
    (one,) = [one for one in sightings.found() if one.name == "n1"]
    assert one.addresses[0] == "10.0.0.1"
    assert len(one.addresses) <= ADDRESSES


some_text = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=40)
beacons = st.builds(
    beacon,
    name=st.one_of(st.just("n1"), some_text),
    address=st.one_of(st.ip_addresses().map(str), st.just("10.0.0.1")),
    port=st.one_of(st.just(9442), st.integers(1, 65535)),
    session=st.one_of(st.sampled_from(["", "aa", "bb"]), some_text),
    version=st.integers(-5, 5),
    fingerprint=st.one_of(st.sampled_from(["", MARK, MARK[:4]]), some_text),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["mdns", "static", "srv"]), beacons), max_size=400))
def test_whatever_is_heard_the_list_is_bounded_and_its_rows_are_distinct(heard):
    sightings = Sightings(given=(("n1", 9442),), clock=Clock())
    for plugin, one in heard:
        sightings.clock.now += 1
        sightings.hear(plugin, one)
    found = sightings.found()
    assert len(sightings._kept) <= MOST
    assert len({one.key for one in found}) == len(found)
    assert all(one.addresses and len(one.addresses) <= ADDRESSES for one in found)
    assert all(str(one).isprintable() for one in found)
    assert all(one.is_still(one) for one in found)
