"""A reset ends services backwards, stops at nothing, reads whatever is left, and forgets clouds and runs."""

import json
import os
import threading

import pytest

from mcloud import Manifest, McloudError, ServiceError, Step, StoragePool, hookimpl
from mcloud.journal import Journal
from mcloud.keeping import KeptFiles
from mcloud.model import Node, Role
from mcloud.plugins import Broken, Plugins
from mcloud.remains import ASIDE, Remains, forgetting_step, read_remains, usable
from mcloud.reset import AGAIN, Reset, order, reset_plan, without_reset
from mcloud.secrets import Secrets
from mcloud.state import State
from mcloud.testing import FakeFile, FakeHost
from mcloud_lxd.settings import LxdNode, LxdSettings

NODE = Node(name="n1", addresses=("10.0.0.1",))
FORGET = Step(name="cloud", run=lambda _ctx: None, probe=lambda _ctx: ())


class Service:
    """A plugin whose steps do what a test says."""

    def __init__(self, *steps):
        self.steps = steps

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="A service")

    @hookimpl
    def reset(self):
        return self.steps


class Thing:
    """Something on a machine, and the step that removes it."""

    def __init__(self, name, log, *, stays=False, fails=None, **more):
        self.name, self.log, self.there, self.stays, self.fails = name, log, True, stays, fails
        self.step = Step(name=name, run=self._run, probe=self._probe, **more)

    def _probe(self, ctx):
        if self.there:
            ctx.report(f"{self.name} is there")
        return None if self.there and not self.stays else ()

    def _run(self, _ctx):
        self.log.append(self.name)
        if self.fails:
            raise self.fails
        self.there = False


@pytest.fixture
def log():
    return []


def reset_of(own=FORGET, **services):
    plugins = Plugins.of(**{name: Service(*(t.step for t in things)) for name, things in services.items()})
    return Reset(FakeHost(), reset_plan(plugins, NODE, Remains(), disks="keep", own=own))


def test_who_wants_something_goes_before_who_offers_it_and_the_core_last(log):
    storage = Thing("storage", log, offers=(StoragePool,))
    user = Thing("user", log, wants=(StoragePool,))
    own = Thing("cloud", log)
    reset = reset_of(own.step, a=[storage, Thing("keys", log)], b=[user, Thing("rest", log)])
    assert reset.carry_out(reset.look()) == ()
    assert log[0] == "user"
    assert log.index("storage") < log.index("keys")
    assert log[-1] == "cloud"


def test_steps_of_different_services_run_side_by_side():
    meeting = threading.Barrier(2, timeout=10)
    there = [True, True]

    def step(number):
        def run(_ctx):
            meeting.wait()
            there[number] = False

        return Step(name="s", run=run, probe=lambda _ctx: None if there[number] else ())

    plugins = Plugins.of(a=Service(step(0)), b=Service(step(1)))
    reset = Reset(FakeHost(), reset_plan(plugins, NODE, Remains(), disks="keep", own=FORGET))
    assert reset.carry_out(reset.look()) == ()


@pytest.mark.parametrize("error", [ServiceError("it hangs", hint="pull the plug"), ValueError("oops")])
def test_a_step_that_fails_stops_no_other_and_is_named_with_what_to_do(log, error):
    bad = Thing("bad", log, fails=error)
    reset = reset_of(a=[bad, Thing("next", log)], b=[Thing("other", log)])
    (left,) = reset.carry_out(reset.look())
    assert sorted(log) == ["bad", "next", "other"]
    assert left.key == "reset/a/n1/n1/bad"
    assert str(error) in left.reason
    assert left.hint == (getattr(error, "hint", "") or AGAIN)
    again = [one.step.name for one in reset.look() if one.to_do]
    assert again == ["bad"]


def test_a_step_that_says_it_worked_is_not_believed(log):
    liar = Thing("liar", log)
    liar._run = None
    step = Step(name="liar", run=lambda _ctx: None, probe=liar._probe)
    reset = Reset(
        FakeHost(), reset_plan(Plugins.of(a=Service(step)), NODE, Remains(), disks="keep", own=FORGET)
    )
    (left,) = reset.carry_out(reset.look())
    assert left.reason == "liar is there"


def test_what_cannot_be_looked_at_is_to_do():
    def probe(_ctx):
        raise ServiceError("no answer")

    plugins = Plugins.of(a=Service(Step(name="s", run=lambda _ctx: None, probe=probe)))
    found, _core = Reset(FakeHost(), reset_plan(plugins, NODE, Remains(), disks="keep", own=FORGET)).look()
    assert found.to_do
    assert found.lines == ("could not be looked at: no answer",)


def test_what_came_after_it_was_shown_is_told_if_it_would_be_lost(log):
    """A person took an hour for a yes, and put another disk in meanwhile."""
    seen = ["/dev/sdb: an OSD"]

    def look(ctx):
        for line in seen:
            ctx.report(line)

    disks = Step(name="disks", run=lambda _ctx: None, probe=look, destroys=("all on the disks",))
    reset = reset_of(a=[Thing("files", log)])
    assert reset.unseen(reset.look()) == ()
    plugins = Plugins.of(a=Service(disks))
    reset = Reset(FakeHost(), reset_plan(plugins, NODE, Remains(), disks="wipe", own=FORGET))
    shown = reset.look()
    assert reset.unseen(shown) == ()
    seen.append("/dev/sdc: an OSD")
    assert reset.unseen(shown) == ("/dev/sdc: an OSD",)


def test_what_stays_is_told_and_not_touched(log):
    reset = reset_of(a=[Thing("foreign", log, stays=True, destroys=("all",))])
    found, _core = reset.look()
    assert (found.to_do, found.lines, found.losses) == (False, ("foreign is there",), ())
    assert reset.carry_out(reset.look()) == ()
    assert log == []


def test_a_step_that_was_cut_off_runs_again_whatever_its_probe_says(log):
    host, thing = FakeHost(), Thing("s", log)

    def run(_ctx):
        thing.there = False
        raise KeyboardInterrupt  # as if mcloud were killed with something still stopped

    def reset(run):
        step = Step(name="s", run=run, probe=thing._probe)
        plan = reset_plan(Plugins.of(a=Service(step)), NODE, Remains(), disks="keep", own=FORGET)
        return Reset(host, plan)

    first = reset(run)
    with pytest.raises(KeyboardInterrupt):
        first.carry_out(first.look())
    second = reset(thing._run)
    assert [one.to_do for one in second.look()] == [True, False]
    assert second.carry_out(second.look()) == ()
    assert not any(one.to_do for one in reset(run).look())


def test_the_core_waits_for_all():
    plan = reset_of(a=[Thing("x", [], offers=(StoragePool,))])._around.plan
    assert order(plan)["reset/core/n1/n1/cloud"] == {"reset/a/n1/n1/x"}


def test_services_that_nobody_resets_are_named():
    class Bare(Service):
        reset = None

        @hookimpl
        def join(self):
            return ()

    plugins = Plugins.of(able=Service(), bare=Bare())
    plugins.broken["split"] = Broken("split", "SyntaxError")
    named = without_reset(plugins, Remains(services=frozenset({"able", "gone"})))
    assert set(named) == {"bare", "split", "gone"}
    assert "SyntaxError" in named["split"]


# ---- what is left of earlier runs ----------------------------------------------------------------------


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def journal(state, *, run, services=("lxd",), **told):
    state.begin_run(command="init", role=Role.INITIATOR, run=run)
    first = {"event": "plan", "key": "", "services": services, "settings": {}, "node_settings": {}, **told}
    state.journal_path(run).write_text(json.dumps(first) + "\n")


def test_settings_come_from_the_record_first_and_from_journals_that_can_be_read(state):
    journal(state, run="a", settings={"lxd": {"local": "zfs"}})
    journal(state, run="b", services=("ovn",), settings={"ovn": {"x": 1}})
    journal(state, run="c")
    state.journal_path("c").write_text("{damaged")
    state.write_cloud({"services": ["lxd"], "settings": {"lxd": {"local": "dir"}}, "node_settings": {}})
    remains = read_remains(state)
    assert remains.services == {"lxd", "ovn"}
    assert remains.settings == {"lxd": {"local": "dir"}, "ovn": {"x": 1}}


def test_a_machine_that_never_saw_mcloud_has_no_remains(state):
    assert read_remains(state) == Remains()


def test_settings_that_do_not_fit_any_more_are_none():
    remains = Remains(frozenset({"a"}), {"a": {"unknown": 1}}, {"a": {"n1": {"unknown": 1}}})
    assert remains.of("a", Manifest(api=1, summary="", settings=None).settings) is None
    assert remains.of("a", LxdSettings) is None
    assert remains.of_machines("a", LxdNode) is None


def look_and_run(state, host=None):
    own = forgetting_step(state)
    reset = Reset(host or FakeHost(), reset_plan(Plugins.of(), NODE, Remains(), disks="keep", own=own))
    (found,) = reset.look()
    return found, reset.carry_out([found])


def test_clouds_runs_and_pins_are_forgotten_and_journals_kept_aside(state):
    journal(state, run="a")
    state.pin("a", "n2", "f" * 64, "PEM")
    state.write_cloud({"name": "home", "members": [{"name": "n1"}], "services": ["lxd"]})
    found, left = look_and_run(state)
    assert found.lines[0] == "the record of cloud home (n1)"
    assert found.lines[1].startswith("1 run (put aside in")
    assert left == ()
    assert (state.read_cloud(), state.runs(), dict(state.pins("a"))) == (None, (), {})
    (aside,) = (state.folder / ASIDE).iterdir()
    assert {path.name for path in aside.iterdir()} == {"a.jsonl", "index", "cloud.json"}
    assert read_remains(state).services == {"lxd"}
    assert not look_and_run(state)[0].to_do


THEIRS = FakeFile(content=b"\xff somebody's", mode=0o600, owner="me:us")
OWN, NEW = "/etc/somebody", "/etc/made/new"


def replaced(state, host, *, run="a"):
    """Have a run replace one file and make another, as its steps would; it was never taken back."""
    journal(state, run=run)
    kept, key = KeptFiles(Journal.open(state.journal_path(run), Secrets())), "join/x/n1/n1/write"
    for path in (OWN, NEW):
        kept.keep(host, key, path)
        host.write(path, "ours")
    kept.note(host, key)


def test_files_of_others_that_a_run_replaced_come_back_with_a_reset(state):
    host = FakeHost(files={OWN: THEIRS})
    replaced(state, host)
    found, left = look_and_run(state, host)
    assert f"what a run made of {OWN}; what was there before comes back" in found.lines[1]
    assert left == ()
    assert host.files == {OWN: THEIRS}
    assert host.folders == frozenset()
    assert not list(state.folder.rglob("*.kept"))


def test_of_two_runs_the_older_one_knows_what_was_there_before(state):
    host = FakeHost(files={OWN: THEIRS})
    replaced(state, host, run="a")
    replaced(state, host, run="b")
    os.utime(state.journal_path("a"), (1, 1))
    assert look_and_run(state, host)[1] == ()
    assert host.files == {OWN: THEIRS}


def test_what_a_service_or_somebody_made_of_it_since_is_kept_aside(state):
    host = FakeHost(files={OWN: THEIRS})
    replaced(state, host)
    host.write(OWN, "theirs again, and newer")
    assert look_and_run(state, host)[1] == ()
    assert host.files[OWN] == THEIRS
    (aside,) = [path for path in (state.folder / ASIDE).rglob("somebody") if path.is_file()]
    assert aside.read_text() == "theirs again, and newer"


def test_what_cannot_be_put_back_is_told_and_kept(state):
    host = FakeHost(files={OWN: THEIRS})
    replaced(state, host)
    host.files[OWN] = FakeFile(kind="other")
    (left,) = look_and_run(state, host)[1]
    assert OWN in left.reason
    assert "no file" in left.reason
    assert str(state.folder / ASIDE) in left.hint
    assert [path for path in (state.folder / ASIDE).rglob("*.kept") if any(path.iterdir())]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"members": 3}'])
def test_a_damaged_record_is_put_aside_like_any_other(state, content):
    state.prepare()
    (state.folder / "cloud.json").write_text(content)
    found, left = look_and_run(state)
    assert found.to_do
    assert left == ()
    assert state.read_cloud() is None


def test_a_damaged_key_goes_and_a_sound_one_stays(state):
    state.prepare()
    state.key_path.write_text("no key")
    state.certificate_path.write_text("no certificate")
    found, left = look_and_run(state)
    assert found.lines == ("this machine's own key, which is damaged",)
    assert left == ()
    assert not state.key_path.exists()


@pytest.mark.parametrize("name", ["state", "state/runs", "state/lock"])
def test_what_is_in_the_way_of_the_state_is_put_aside(tmp_path, name):
    state = State(tmp_path / "state")
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    place.mkdir() if name.endswith("lock") else place.write_text("what was here")
    with pytest.raises(McloudError, match="is damaged"):
        usable(state, may_change=False)
    (moved,) = usable(state, may_change=True)
    assert moved.startswith(f"{place}.damaged-")
    with state.lock("reset"):
        assert usable(state, may_change=True) == []


def test_a_sound_state_is_left_alone(state):
    assert usable(state, may_change=True) == []
    state.prepare()
    assert usable(state, may_change=True) == []
