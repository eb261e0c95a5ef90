"""Looking with several plugins and choosing what they find: alone, by name, by a person, or not at all."""

import queue
import threading
import time

import pytest

from mcloud import API, DiscoveryError, Manifest, SettingsError, hookimpl
from mcloud.choosing import Choosing
from mcloud.looking import Looking
from mcloud.model import Beacon, Search
from mcloud.plugins import Plugins
from mcloud.session.protocol import VERSION
from mcloud.testing import Scripted

QUESTION = "Which initiator is this machine to join?"
GO_ON = "Go on waiting?"


class Ear:
    """A discovery plugin that hears what a test says."""

    def __init__(self, *beacons, says=None, breaks=None):
        self.said = queue.SimpleQueue()
        self.searches = []
        self.says, self.breaks = says, breaks
        for one in beacons:
            self.said.put(one)

    @hookimpl
    def manifest(self):
        return Manifest(api=API, summary="Hears")

    @hookimpl
    def discover(self, search):
        self.searches.append(search)
        if self.breaks:
            raise self.breaks
        until = time.monotonic() + search.seconds
        while (left := until - time.monotonic()) > 0:
            try:
                yield self.said.get(timeout=left)
            except queue.Empty:
                break
        if self.says:
            raise self.says


def beacon(name="n1", address="10.0.0.1", session="aa", mark="3f2a9c0177de04b8", **more):
    whole = {"port": 9442, "session": session, "version": VERSION, "fingerprint": mark, **more}
    return Beacon.model_validate({"name": name, "address": address, **whole})


N1 = beacon()
N2 = beacon("n2", "10.0.0.2", "bb", "11" * 8)
OTHER_VERSION = beacon("n9", "10.0.0.9", "99", "99" * 8, version=99)
GIVEN = Beacon.model_validate({"name": "first", "address": "10.0.0.1", "port": 9442})


@pytest.fixture
def chosen():
    """Return a function that looks with some plugins and chooses; it gives what was chosen and the person."""

    def choose(
        *,
        patience=20.0,
        wanted="",
        person=None,
        can_ask=None,
        settling=0.1,
        first_word=10.0,
        known="",
        initiators=(),
        **ears,
    ):
        person = person or Scripted()
        with Looking(
            Plugins.of(**ears), tuple(ears), Search(seconds=patience, initiators=initiators)
        ) as looking:
            return Choosing(
                notice=person.notice,
                prompter=person,
                can_ask=bool(person.answers) if can_ask is None else can_ask,
                wanted=wanted,
                settling=settling,
                first_word=first_word,
            )(looking, known), person

    return choose


# ---- one -------------------------------------------------------------------------------------------------


def test_the_only_one_is_taken_without_a_question(chosen):
    found, person = chosen(mdns=Ear(N1, N1, N1))
    assert found.name == "n1"
    assert person.asked == []


def test_the_first_is_not_taken_before_others_had_time_to_be_heard(chosen):
    began = time.monotonic()
    with pytest.raises(SettingsError, match="several"):
        ear = Ear(N1)
        threading.Timer(0.3, ear.said.put, [N2]).start()
        chosen(mdns=ear, settling=0.6)
    assert time.monotonic() - began >= 0.6


def test_an_address_that_was_given_is_taken_at_once(chosen):
    found, _person = chosen(static=Ear(GIVEN), mdns=Ear(N2), initiators=(("first", 9442),), settling=60.0)
    assert found.given


def test_the_plugins_are_told_this_machines_address_and_look_side_by_side(chosen):
    ears = {"one": Ear(), "other": Ear(N1)}
    chosen(**ears)
    assert all(len(ear.searches) == 1 for ear in ears.values())


def test_a_plugin_that_breaks_is_named_and_the_others_go_on(chosen):
    found, person = chosen(mdns=Ear(breaks=DiscoveryError("no multicast here")), srv=Ear(N1), settling=0.5)
    assert found.name == "n1"
    assert person.notices == ["mdns cannot look for initiators: no multicast here"]


def test_a_plugin_with_a_mistake_in_it_is_named_and_the_others_go_on(chosen):
    found, person = chosen(
        mdns=Ear(breaks=ZeroDivisionError("oh")), srv=Ear("junk"), dns=Ear(N1), settling=0.5
    )
    assert found.name == "n1"
    assert len(person.notices) == 2
    assert any("srv yielded str, no Beacon" in said for said in person.notices)


# ---- several ---------------------------------------------------------------------------------------------


def test_with_several_a_person_picks(chosen):
    person = Scripted({QUESTION: ""})
    person.answers = [""]
    seen = []

    def pick(pick):
        seen.extend(pick.rows())
        return (seen[1].key,)

    person.pick = pick
    found, _ = chosen(mdns=Ear(N1, N2, OTHER_VERSION), person=person)
    assert found.name == "n2"
    assert [row.cells[:4] for row in seen] == [
        ("n1", "10.0.0.1 port 9442", "3f2a 9c01 77de 04b8", "mdns"),
        ("n2", "10.0.0.2 port 9442", "1111 1111 1111 1111", "mdns"),
        ("n9", "10.0.0.9 port 9442", "9999 9999 9999 9999", "mdns"),
    ]
    assert [row.closed for row in seen] == ["", "", f"speaks protocol 99, this mcloud speaks {VERSION}"]


def test_the_table_goes_on_being_filled_while_the_person_thinks(chosen):
    person, ear = Scripted([""]), Ear(N1, N2)

    def pick(pick):
        ear.said.put(beacon("n3", "10.0.0.3", "cc", "33" * 8))
        while len(rows := pick.rows()) < 3:
            time.sleep(0.01)
        return (rows[2].key,)

    person.pick = pick
    assert chosen(mdns=ear, person=person)[0].name == "n3"


def test_one_that_was_started_anew_while_the_person_thought_is_picked_again(chosen):
    person, ear, picks = Scripted([""]), Ear(N1, N2), []

    def pick(pick):
        rows = pick.rows()
        picks.append(rows[0].key)
        if len(picks) == 1:
            ear.said.put(beacon(session="after"))
            while any(row.key == picks[0] for row in pick.rows()):
                time.sleep(0.01)
        return (next(row.key for row in rows if row.cells[0] == "n1"),)

    person.pick = pick
    found, _ = chosen(mdns=ear, person=person)
    assert found.session == "after"
    assert len(picks) == 2
    assert any("was started anew" in said for said in person.notices)


def test_in_the_place_of_one_that_was_trusted_no_other_is_taken(chosen):
    ear = Ear(N1, N2)
    whole = "33" * 32
    threading.Timer(0.4, ear.said.put, [beacon("n3", "10.0.0.3", "cc", whole[:16])]).start()
    assert chosen(mdns=ear, known=whole)[0].name == "n3"
    with pytest.raises(DiscoveryError):
        chosen(mdns=Ear(N1), known=whole, patience=0.5)


def test_without_a_terminal_several_are_an_error_that_lists_them_and_says_how(chosen):
    with pytest.raises(SettingsError, match="several initiators") as caught:
        chosen(mdns=Ear(N1, N2))
    assert "--initiator NAME" in caught.value.hint
    assert [line.partition(" ")[0] for line in caught.value.problems] == ["n1", "n2"]
    assert (
        "10.0.0.2, port 9442), fingerprint 1111 1111 1111 1111, session bb, found by mdns"
        in (caught.value.problems[1])
    )


@pytest.mark.parametrize("wanted", ["n2", "bb", "10.0.0.2"])
def test_one_is_named_by_name_session_or_address(chosen, wanted):
    assert chosen(mdns=Ear(N1, N2), wanted=wanted)[0].name == "n2"


def test_who_is_named_is_waited_for(chosen):
    ear = Ear(N1)
    threading.Timer(0.4, ear.said.put, [N2]).start()
    assert chosen(mdns=ear, wanted="n2")[0].name == "n2"


def test_a_name_that_two_have_is_an_error_without_a_terminal(chosen):
    with pytest.raises(SettingsError, match="several initiators are called n1"):
        chosen(mdns=Ear(N1, beacon(address="10.0.0.7", session="77", mark="77" * 8)), wanted="n1")


def test_an_address_that_was_given_serves_for_the_one_that_is_named(chosen):
    """A file names the initiator, and its address: what is known of it before trust is the address."""
    assert chosen(static=Ear(GIVEN), wanted="n1", initiators=(("first", 9442),))[0].given


def test_a_flood_of_forged_beacons_does_not_hide_the_one_that_is_named(chosen):
    forged = [
        beacon(f"f{number}", f"10.9.{number // 250}.{number % 250}", f"{number}", f"{number:016x}")
        for number in range(3000)
    ]
    found, _ = chosen(mdns=Ear(*forged[:100], N1, *forged[100:], N1), wanted="n1")
    assert found.addresses == ("10.0.0.1",)


def test_a_flood_is_listed_in_part(chosen):
    forged = [beacon(f"f{number}", session=str(number), mark=f"{number:016x}") for number in range(300)]
    with pytest.raises(SettingsError) as caught:
        chosen(mdns=Ear(*forged))
    assert len(caught.value.problems) == 20


# ---- none ------------------------------------------------------------------------------------------------


def test_nothing_found_is_what_the_plugin_says(chosen):
    why = DiscoveryError("3 queries were sent on eth0, nothing came back", hint="try static")
    with pytest.raises(DiscoveryError) as caught:
        chosen(mdns=Ear(says=why), patience=0.3)
    assert caught.value is why


def test_nothing_found_is_what_each_plugin_says(chosen):
    ears = {"mdns": Ear(says=DiscoveryError("no answer")), "srv": Ear(says=DiscoveryError("no such name"))}
    with pytest.raises(DiscoveryError, match=r"no initiator was found in 0 s; .*mdns: no answer") as caught:
        chosen(**ears, patience=0.3)
    assert "srv: no such name" in str(caught.value)


def test_a_search_in_which_all_plugins_break_is_over_at_once(chosen):
    began = time.monotonic()
    with pytest.raises(DiscoveryError, match="no address"):
        chosen(static=Ear(breaks=DiscoveryError("no address")), patience=60.0, can_ask=True)
    assert time.monotonic() - began < 5


def test_at_a_terminal_a_person_may_go_on_waiting(chosen):
    person, ear = Scripted([""]), Ear(says=DiscoveryError("nothing came back", hint="look at the switch"))

    def agree(question, *, default, otherwise=""):
        assert (question, default) == (GO_ON, True)
        ear.said.put(N1)
        return True

    person.agree = agree
    found, _ = chosen(mdns=ear, person=person, patience=0.4)
    assert found.name == "n1"
    assert person.notices == ["nothing came back: look at the switch"]


def test_at_a_terminal_a_person_may_give_up(chosen):
    with pytest.raises(DiscoveryError, match="nothing came back"):
        chosen(
            mdns=Ear(says=DiscoveryError("nothing came back")), person=Scripted({GO_ON: "no"}), patience=0.3
        )


def test_another_version_alone_is_said_at_once_and_at_the_end_and_the_search_goes_on(chosen):
    person = Scripted()
    with pytest.raises(
        DiscoveryError, match=rf"n9 .* speaks protocol 99, this mcloud speaks {VERSION}"
    ) as caught:
        chosen(mdns=Ear(OTHER_VERSION), person=person, patience=0.6)
    assert "install the same version" in caught.value.hint
    assert len([said for said in person.notices if "speaks protocol 99" in said]) == 1
    ear = Ear(OTHER_VERSION)
    threading.Timer(0.3, ear.said.put, [N1]).start()
    assert chosen(mdns=ear)[0].name == "n1"


def test_who_was_named_and_did_not_come_is_named_and_so_are_those_who_did(chosen):
    with pytest.raises(DiscoveryError, match=r"no initiator n5 was found in .*; heard: n1, n2"):
        chosen(mdns=Ear(N1, N2), wanted="n5", patience=0.5)


def test_after_a_silence_a_person_is_told_once_that_nothing_was_heard(chosen):
    person = Scripted()
    with pytest.raises(DiscoveryError):
        chosen(mdns=Ear(), person=person, patience=0.8, first_word=0.2)
    (said,) = person.notices
    assert "no initiator was heard yet (mdns)" in said
    assert "--initiator-address" in said


# ---- rounds ----------------------------------------------------------------------------------------------


def test_a_plugin_is_asked_in_rounds_and_what_it_hears_no_more_is_forgotten():
    class Fading(Ear):
        def discover(self, search):
            if len(self.searches) < 2:
                self.said.put(N1)
            yield from super().discover(search)

        discover = hookimpl(discover)

    ear = Fading()
    with Looking(Plugins.of(mdns=ear), ("mdns",), Search(seconds=20.0), round=0.2) as looking:
        _until(lambda: len(ear.searches) > 1 and looking.found())
        _until(lambda: not looking.found())
    assert len(ear.searches) >= 3


def test_a_plugin_that_breaks_after_it_has_worked_is_asked_again(monkeypatch):
    monkeypatch.setattr("mcloud.looking.PAUSE", 0.05)
    monkeypatch.setattr("mcloud.looking.EARLY", 0.05)

    class Limping(Ear):
        def discover(self, search):
            if len(self.searches) == 1:
                self.searches.append(search)
                raise DiscoveryError("the interface is down")
            yield from super().discover(search)

        discover = hookimpl(discover)

    ear = Limping()
    with Looking(Plugins.of(mdns=ear), ("mdns",), Search(seconds=20.0), round=0.2) as looking:
        _until(lambda: len(ear.searches) > 2)
        assert looking.failed == {}
        ear.said.put(N1)
        _until(looking.found)


def test_the_patience_does_not_run_while_a_person_is_asked():
    with Looking(Plugins.of(mdns=Ear()), ("mdns",), Search(seconds=0.5), round=0.1) as looking:
        with looking.standing_still():
            time.sleep(0.7)
            assert not looking.over
            before = looking.left
        assert before > 0.3
        assert looking.left == pytest.approx(before, abs=0.1)
        _until(lambda: looking.over)


def test_threads_end_with_the_search():
    with Looking(Plugins.of(leaving=Ear()), ("leaving",), Search(seconds=60.0), round=0.2):
        assert "find-leaving" in {thread.name for thread in threading.enumerate()}
    _until(lambda: "find-leaving" not in {thread.name for thread in threading.enumerate()})


def _until(holds):
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
