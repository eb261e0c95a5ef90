"""The one door to disks: it acts on the disk that was meant, under whatever name, or on none."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mcloud import DiskChoice, Node, ServiceError, Survey, disks_bearing, free_disks, hold_disk, look_at_disk
from mcloud.testing import FakeDisk, FakeHost

LABEL = "ours"


def ours(found):
    return found.content.label == LABEL


class World:
    """A machine with two disks, and the plan that was made on it."""

    def __init__(self, *disks, wipe=False, links=False):
        self.one, self.two = disks
        named = {"/dev/sda": self.one, "/dev/sdb": self.two}
        if links:
            named |= {"/dev/disk/by-id/ata-1": self.one, "/dev/disk/by-id/ata-2": self.two}
        self.host = FakeHost(disks=named)
        seen = tuple(
            disk.described(*(name for name in named if named[name] is disk)) for disk in (self.one, self.two)
        )
        self.node = Node(name="n1", addresses=("10.0.0.1",), survey=Survey(disks=seen))
        self.choice = DiskChoice(path="/dev/sda", wipe=wipe)
        self.kept, self.said = {}, []

    @property
    def ctx(self):
        return SimpleNamespace(
            host=self.host,
            keep=self.kept.setdefault,
            kept=self.kept.get,
            has_kept=lambda key: key in self.kept,
            report=self.said.append,
            notice=self.said.append,
        )

    def exchange(self):
        self.host.exchange("/dev/sda", "/dev/sdb")

    def take(self, bears=ours):
        with hold_disk(self.ctx, self.node, self.choice, ours=bears) as held:
            held.clear()
            return held.path, held.lasting

    @property
    def contents(self):
        return self.one.content, self.two.content


def strong(**one):
    return World(FakeDisk(serial="A", **one), FakeDisk(serial="B", content="ext4", id="precious"), wipe=True)


def test_the_disk_of_the_plan_is_taken():
    world = strong(content="xfs", id="x")
    assert world.take() == ("/dev/sda", "/dev/sda")
    assert world.contents == ("", "ext4")


def test_the_disk_of_the_plan_is_taken_under_the_name_it_has_now_and_that_is_said():
    world = strong(content="xfs", id="x")
    world.exchange()
    assert world.take() == ("/dev/sdb", "/dev/sdb")
    assert world.contents == ("", "ext4")
    assert world.said == [
        "/dev/sda is another disk now; the one in the plan (serial A, 20000000000 bytes) is /dev/sdb"
    ]


def test_its_lasting_name_is_one_that_leads_to_it():
    world = World(FakeDisk(serial="A"), FakeDisk(serial="B", content="ext4", id="p"), links=True)
    assert world.take() == ("/dev/sda", "/dev/disk/by-id/ata-1")
    world.exchange()
    assert world.take() == ("/dev/sdb", "/dev/disk/by-id/ata-1")
    world.host.exchange("/dev/disk/by-id/ata-1", "/dev/disk/by-id/ata-2")
    assert world.take() == ("/dev/sdb", "/dev/disk/by-id/ata-2")


def test_another_disk_in_its_place_is_refused_by_name():
    world = strong()
    world.host.disks["/dev/sda"] = FakeDisk(serial="C", content="xfs", id="z")
    with pytest.raises(ServiceError) as refused:
        world.take()
    assert str(refused.value).startswith(
        "/dev/sda of n1 is another disk than the one in the plan: "
        "serial C, 20000000000 bytes, was serial A, 20000000000 bytes"
    )


def test_a_new_and_empty_disk_takes_the_place_of_one_that_was_replaced_and_that_is_said():
    world = strong(content="xfs", id="x")
    world.host.disks["/dev/sda"] = FakeDisk(serial="C")
    assert world.take() == ("/dev/sda", "/dev/sda")
    assert world.said == [
        "/dev/sda is a new disk (serial C, 20000000000 bytes), and empty: it takes the old one's place"
    ]


@pytest.mark.parametrize("one", [{"serial": "B"}, {"serial": ""}])
def test_an_empty_disk_that_may_have_been_there_before_is_not_new(one):
    world = World(FakeDisk(serial="A"), FakeDisk(serial="B"), wipe=True)
    del world.host.disks["/dev/sdb"]
    world.host.disks["/dev/sda"] = FakeDisk(**one)
    with pytest.raises(ServiceError, match="another disk than the one in the plan"):
        world.take()


def test_a_disk_that_is_gone_is_said_to_be():
    world = strong()
    del world.host.disks["/dev/sda"]
    with pytest.raises(
        ServiceError, match="there is no disk /dev/sda on n1 any more; in the plan it is serial A"
    ):
        world.take()


@pytest.mark.parametrize("now", [{"size": 10**9}, {"wwn": "other"}, {"serial": ""}])
def test_the_same_serial_number_alone_is_not_enough(now):
    world = World(FakeDisk(serial="A", wwn="w", content="xfs", id="x"), FakeDisk(serial="B"), wipe=True)
    if now == {"serial": ""}:
        now = {"serial": "", "wwn": ""}
    world.host.disks["/dev/sda"] = replace(world.one, **now)
    with pytest.raises(ServiceError, match="another disk than the one in the plan"):
        world.take()
    assert world.one.content == "xfs"


def test_two_disks_that_say_they_are_the_one_are_refused():
    world = strong(content="xfs", id="x")
    world.host.disks["/dev/sdc"] = FakeDisk(serial="A", content="btrfs")
    with pytest.raises(ServiceError, match="which of /dev/sda, /dev/sdc is the one in the plan"):
        world.take()


# ---- disks without serial number -------------------------------------------------------------------------


def weak(one="", two="ext4", **more):
    disks = (FakeDisk(content=one, id=one and "A"), FakeDisk(content=two, id=two and "B"))
    return World(*disks, **{"wipe": True, **more})


@pytest.mark.parametrize("before", ["", "xfs"])
def test_without_serial_number_its_content_tells(before):
    world = weak(before)
    world.take()
    assert world.contents == ("", "ext4")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", "it holds ext4 (B), and held nothing"),
        ("xfs", "it holds ext4 (B), and held xfs (A); the one in the plan is /dev/sdb now"),
        ("unknown data", "); the one in the plan is /dev/sdb now"),
    ],
)
def test_another_content_is_another_disk(before, said):
    world = weak(before)
    world.exchange()
    with pytest.raises(ServiceError) as refused:
        world.take()
    assert said in str(refused.value)
    assert world.contents == (before, "ext4")


def test_the_same_kind_of_content_is_not_the_same_content():
    world = weak("ext4", "ext4")
    world.exchange()
    with pytest.raises(ServiceError, match="another disk than the one in the plan"):
        world.take()
    assert world.contents == ("ext4", "ext4")


def test_twins_of_one_serial_number_are_told_by_their_content():
    disks = FakeDisk(serial="0123", content="xfs", id="A"), FakeDisk(serial="0123", content="ext4", id="B")
    world = World(*disks, wipe=True)
    world.exchange()
    with pytest.raises(ServiceError, match="another disk than the one in the plan"):
        world.take()
    world.exchange()
    world.take()
    assert world.contents == ("", "ext4")


def test_after_our_own_wipe_it_is_blank_and_then_bears_our_label():
    world = weak("xfs")
    world.take()
    world.take()  # cut off and run again
    world.one.hold("btrfs", id="new", label=LABEL)
    world.take()
    assert world.contents == ("", "ext4")


def test_a_blank_disk_is_not_the_one_that_held_something():
    world = weak("xfs", "")
    world.exchange()
    with pytest.raises(ServiceError, match="it holds nothing, and held xfs"):
        world.take()


def test_by_our_label_it_is_found_under_another_name():
    world = weak()
    world.take()
    world.one.hold("btrfs", id="new", label=LABEL)
    world.exchange()
    assert look_at_disk(world.host, world.node, world.choice, ours=ours).disk.device == "/dev/sdb"
    assert world.take()[0] == "/dev/sdb"
    assert world.contents == ("", "ext4")
    assert world.said == ["/dev/sda is another disk now; by its label the one in the plan is /dev/sdb"]


@pytest.mark.parametrize("labelled", [False, True])
def test_a_name_that_becomes_another_disks_between_two_looks_is_refused(labelled):
    world = weak("" if labelled else "xfs")
    if labelled:
        world.take()
        world.one.hold("btrfs", id="new", label=LABEL)
    opened = []

    def swap(what):
        if what == "open /dev/sda":
            opened.append(what)
            if len(opened) == 2:
                world.exchange()

    world.host.before = swap
    with pytest.raises(ServiceError, match="another disk than the one in the plan"):
        world.take()
    assert world.contents[1] == "ext4"
    assert len(opened) >= 2


# ---- what may go -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["ext4", "unknown data", "gpt (its copy alone)"])
def test_what_is_on_it_goes_only_if_the_plan_says_so(content):
    world = World(FakeDisk(serial="A"), FakeDisk(serial="B"))
    world.one.hold(content, id="x")
    with pytest.raises(ServiceError, match=r"is not empty \(.*and was not to be wiped"):
        world.take()
    assert world.one.content == content
    assert not world.kept
    world.choice = DiskChoice(path="/dev/sda", wipe=True)
    world.take()
    assert world.one.content == ""


def test_what_was_begun_on_it_in_this_run_may_go():
    world = World(FakeDisk(serial="A"), FakeDisk(serial="B"))
    world.take()
    world.one.hold("unknown data")
    world.take()
    assert world.one.content == ""
    world.one.hold("ext4", id="somebody's since")
    with pytest.raises(ServiceError, match="is not empty"):
        world.take()


@pytest.mark.parametrize("content", ["", "xfs"])
def test_a_disk_in_use_is_not_touched(content):
    world = World(FakeDisk(serial="A", content=content, used="somebody"), FakeDisk(serial="B"), wipe=True)
    with pytest.raises(ServiceError, match="/dev/sda of n1 is in use; nothing on it was changed"):
        world.take()
    assert world.one.content == content


def test_what_makes_something_on_it_has_to_reach_it():
    world = strong()
    with hold_disk(world.ctx, world.node, world.choice) as held:
        held.clear()
        world.exchange()
        with pytest.raises(
            ServiceError, match="/dev/sda of n1 leads to another disk than /dev/sda, which was"
        ):
            held.make(["mkfs", "/dev/sda"], name="/dev/sda")
    assert not [call for call in world.host.calls if call[0] == "mkfs"]


# ---- freeing ---------------------------------------------------------------------------------------------


def test_only_what_bears_our_label_is_freed_whatever_its_name():
    world = strong()
    world.one.hold("btrfs", id="x", label=LABEL)
    world.exchange()
    assert [found.disk.device for found in disks_bearing(world.host, ours)] == ["/dev/sdb"]
    assert free_disks(world.host, ours) == ("/dev/sdb",)
    assert world.contents == ("", "ext4")
    assert free_disks(world.host, ours) == ()


def test_a_name_that_becomes_another_disks_between_two_looks_frees_nothing():
    world = strong()
    world.one.hold("btrfs", id="x", label=LABEL)
    opened = []

    def swap(what):
        if what == "open /dev/sda":
            opened.append(what)
            if len(opened) == 2:
                world.exchange()

    world.host.before = swap
    assert free_disks(world.host, ours) == ()
    assert world.contents == ("btrfs", "ext4")


def test_all_are_tried_and_those_that_cannot_be_freed_are_named():
    world = World(FakeDisk(serial="A", used="somebody"), FakeDisk(serial="B"))
    for disk in (world.one, world.two):
        disk.hold("btrfs", id="x", label=LABEL)
    with pytest.raises(ServiceError, match=r"^/dev/sda: /dev/sda of n1 is in use"):
        free_disks(world.host, ours)
    assert world.contents == ("btrfs", "")
