"""Who gives way when there are too many strangers; and what counts as one source."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcloud.session import sources
from mcloud.session.limits import Crowd, Limits, Visitor, plain_address, printable
from mcloud.session.sources import source_of


class World:
    """A crowd with a clock that is set by hand, and who was cut."""

    def __init__(self, **limits: int) -> None:
        self.now = 0.0
        self.cut: list[str] = []
        self.crowd = Crowd(limits=Limits(**limits), clock=lambda: self.now)
        self.visitors: dict[str, Visitor] = {}

    def enter(self, name: str, source: str = "", carrier: str = "") -> bool:
        self.now += 1
        visitor = Visitor(source=source or name[0], carrier=carrier, cut=lambda: self.cut.append(name))
        self.visitors[name] = visitor
        return self.crowd.enter(visitor)

    def heard(self, name: str, stage: int, *, our_turn: bool = False) -> None:
        self.now += 1
        self.crowd.heard(self.visitors[name], stage=stage, our_turn=our_turn)


def test_the_oldest_idle_of_a_source_at_its_cap_gives_way():
    world = World(per_source=2)
    assert [world.enter(name) for name in ("a1", "a2", "a3", "b1")] == [True] * 4
    assert world.cut == ["a1"]


def test_who_got_further_stays():
    world = World(per_source=2)
    world.enter("a1")
    world.enter("a2")
    world.heard("a1", stage=1)
    world.enter("a3")
    assert world.cut == ["a2"]


def test_whom_we_keep_waiting_is_not_idle():
    world = World(per_source=2)
    for name in ("a1", "a2"):
        world.enter(name)
        world.heard(name, stage=3, our_turn=True)
    assert not world.enter("a3")
    assert world.cut == []
    world.heard("a1", stage=3, our_turn=False)
    assert world.enter("a4")
    assert world.cut == ["a1"]


def test_with_all_places_taken_the_largest_source_gives_way():
    world = World(strangers=4, per_source=3)
    for name in ("b1", "a1", "a2", "a3"):
        assert world.enter(name)
    assert world.enter("c1")
    assert world.cut == ["a1"]


def test_a_large_source_that_keeps_us_busy_gives_way_to_a_newcomer():
    """Else eight sources with eight exchanges each would keep everybody out."""
    world = World(strangers=4, per_source=4)
    for name in ("a1", "a2", "a3", "a4"):
        world.enter(name)
        world.heard(name, stage=3, our_turn=True)
    assert world.enter("b1")
    assert world.cut == ["a1"]


def test_who_has_many_addresses_on_our_link_gives_way_by_what_carries_them():
    """Also to one who is as large as each of them."""
    world = World(strangers=4)
    for name in ("b1", "b2"):
        assert world.enter(name)
    for name in ("a1", "c1", "d1"):
        assert world.enter(name, carrier="02:00:00:00:00:77")
    assert world.cut == ["b1"], "two and two: the longest here"
    assert world.enter("e1")
    assert world.cut == ["b1", "a1"]


def test_among_equals_who_are_all_busy_the_newcomer_waits_outside():
    world = World(strangers=2)
    for name in ("a1", "b1"):
        world.enter(name)
        world.heard(name, stage=3, our_turn=True)
    assert not world.enter("c1")
    assert world.cut == []


def test_who_left_counts_no_more():
    world = World(strangers=1)
    world.enter("a1")
    world.crowd.leave(world.visitors["a1"])
    world.crowd.leave(world.visitors["a1"])
    assert world.enter("b1")
    assert world.cut == []


def test_without_descriptors_one_after_another_gives_way():
    world = World()
    for name in ("a1", "a2", "b1"):
        world.enter(name)
    assert [world.crowd.give_way() for _ in range(4)] == [True, True, True, False]
    assert world.cut == ["a1", "a2", "b1"]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.integers(0, 4)), max_size=60))
def test_there_are_never_too_many(arrivals: list[tuple[str, bool, int]]):
    world = World(strangers=8, per_source=3)
    for number, (source, ours, stage) in enumerate(arrivals):
        name = f"{source}{number}"
        if world.enter(name, source):
            world.heard(name, stage=stage, our_turn=ours)
        inside = [visitor.source for visitor in world.crowd.visitors]
        assert len(inside) <= 8
        assert all(inside.count(each) <= 3 for each in inside)
    assert len(world.cut) == len(set(world.cut))


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_source_is_an_address_or_a_64(address: str, source: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "_links", sources.Links(Path("/nowhere")))
    assert source_of(address) == source


def test_addresses_are_shown_plainly():
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("fe80::1%eth0") == "fe80::1"


@given(st.text())
def test_what_others_say_is_short_and_harmless(text: str):
    shown = printable(text)
    assert len(shown) <= 120
    assert shown.isprintable()
