"""What the initiator does with what its joiners say: its gates open and close by it."""

import hashlib
import threading
import time
from types import SimpleNamespace

import pytest

from mcloud import JoinToken, Manifest, ProtocolError, RunFailed, Step, hookimpl
from mcloud.cloud import founder_plan, joiner_plan, plan_digest
from mcloud.context import Surroundings
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.model import Node
from mcloud.plugins import Plugins
from mcloud.record import record_step, unknown_yet
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.session.protocol import Failed, Introduction, Joined, Outlook, OutlookLine
from mcloud.state import State
from mcloud.testing import FakeHost, memory_folder
from mcloud.watch import Happening


class Service:
    """Gives tokens, one machine at a time."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="", joins_at_once=1)

    @hookimpl
    def issue_token(self, node):
        yield Step(name="token", run=lambda _ctx: [JoinToken(value=f"for {node.name}")], offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        if not node.founder:
            yield Step(name="in", run=lambda _ctx: None, probe=lambda _ctx: (), needs=(JoinToken,))


class Session:
    """An initiator that hands out tokens to nobody."""

    def __init__(self, hosting):
        self.given = []
        self.hosting = hosting
        self.lobby = SimpleNamespace(named=_guest, all=lambda: ())

    def admit(self, guest, plugin, value):
        self.given.append((guest.name, plugin, value))


def _guest(name, **more):
    mark = _mark(name)
    said = {"name": name, "fingerprint": mark, "address": "10.0.0.2", "reason": "the disk burns", "facts": {}}
    return SimpleNamespace(**said | more)


def _mark(name):
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def folder():
    with memory_folder() as made:
        yield made


def _inputs(others="go-on"):
    nodes = [
        {"name": f"n{n}", "addresses": ["10.0.0.1"], "founder": n == 1, "fingerprint": _mark(f"n{n}")}
        for n in (1, 2, 3)
    ]
    return Inputs.model_validate(
        {
            "run": "0" * 16,
            "command": "init",
            "cloud": "c",
            "nodes": nodes,
            "services": ["service"],
            "others": others,
        }
    )


@pytest.fixture
def host_of(folder):
    """Return a maker of hostings, each connected to a run."""

    def make(others="go-on"):
        inputs, notices = _inputs(others), []
        plugins, state = Plugins.of(service=Service()), State(folder / "state")
        plan = founder_plan(plugins, inputs, record_step(state, inputs, unknown_yet))
        header = inputs.model_dump(mode="json")
        journal = Journal.create(folder / f"{others}.jsonl", header, Secrets())
        hosting = Hosting(plugins, state, Secrets(), lambda _happening: None, notices.append)
        execution = Execution(
            Surroundings(host=FakeHost(), plan=plan, journal=journal), issued=hosting.issued
        )
        session = Session(hosting)
        hosting.begin(session, execution, inputs)
        return SimpleNamespace(hosting=hosting, execution=execution, session=session, notices=notices)

    return make


def _in_a_thread(execution, stage):
    """Run a stage beside; return a function that waits for its end and gives its failure, if any."""
    failure = []

    def run():
        try:
            execution.run(stage)
        except RunFailed as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def end():
        thread.join(5)
        assert not thread.is_alive(), "it waits for ever"
        return failure[0] if failure else None

    return end


def test_tokens_are_made_ahead_and_handed_over_in_turn(host_of):
    made = host_of()
    end = _in_a_thread(made.execution, "enter")
    made.hosting.ready(_guest("n2"), "service", b"")
    made.hosting.ready(_guest("n3"), "service", b"")
    while ("service", "n3") not in made.hosting._handing._made or not made.session.given:
        time.sleep(0.01)
    assert made.session.given == [("n2", "service", "for n2")]
    for name in ("n2", "n3"):
        made.hosting.settled(_guest(name), Joined(stage="enter"))
    assert end() is None


def test_what_a_joiner_brings_or_why_it_is_refused_is_told(host_of):
    made = host_of()
    node = Node(name="n2", addresses=("10.0.0.2",))
    said = Introduction(node=node, versions={})
    made.hosting.came(_guest("n2", standing="here", introduction=said))
    made.hosting.came(_guest("n3", standing="refused", introduction=said))
    assert made.notices == [
        "n2 (10.0.0.2) is here: no service; no free disk; 0 MB RAM",
        "n3 (10.0.0.2) was refused: the disk burns",
    ]


def test_who_joins_without_asking_needs_no_token(host_of):
    made = host_of()
    end = _in_a_thread(made.execution, "enter")
    for name in ("n2", "n3"):
        made.hosting.settled(_guest(name), Joined(stage="enter"))
    assert end() is None
    assert made.session.given == []


def test_a_token_of_a_plugin_that_gives_none_is_not_to_be_had(host_of):
    with pytest.raises(ProtocolError, match="which gives none"):
        host_of().hosting.ready(_guest("n2"), "other", b"")
    with pytest.raises(ProtocolError, match="which gives none"):
        host_of("stop").hosting.ready(_guest("n1"), "service", b"")


def test_the_others_go_on(host_of):
    made = host_of()
    end = _in_a_thread(made.execution, "enter")
    made.hosting.settled(_guest("n2"), Failed(stage="enter", lines=("broken",)))
    made.hosting.settled(_guest("n3"), Joined(stage="enter"))
    assert end() is None
    assert made.hosting.failed == {"n2": "the disk burns"}
    assert made.notices == ["n2 is out: the disk burns"]


def test_all_stop(host_of):
    made = host_of("stop")
    end = _in_a_thread(made.execution, "enter")
    made.hosting.settled(_guest("n2"), Failed(stage="enter", lines=("broken",)))
    assert "n2 failed: the disk burns" in str(end().exceptions[0])


def test_who_is_cut_off_gives_its_turn_to_the_next(host_of):
    made = host_of()
    end = _in_a_thread(made.execution, "enter")
    made.hosting.ready(_guest("n2"), "service", b"")
    made.hosting.ready(_guest("n3"), "service", b"")
    made.hosting.cut_off(_guest("n2"), "nothing was heard of it")
    made.hosting.settled(_guest("n3"), Joined(stage="enter"))
    assert end() is None


def test_a_token_made_for_one_that_is_cut_off_meanwhile_takes_nobodys_turn(host_of):
    made = host_of()
    made.hosting.cut_off(_guest("n2"), "nothing was heard of it")
    lane = next(
        lane for lane in made.execution.plan.lanes if (lane.hook, lane.about) == ("issue_token", "n2")
    )
    made.hosting.issued(lane, [JoinToken(value="for n2")])
    assert made.hosting._handing._made == {}
    assert made.hosting._handing._turns.ask("service", "n3")


def test_a_turn_ends_with_what_needed_the_token(host_of):
    """Not with all else that this machine has to do: the next one waits for this service alone."""
    made, inputs = host_of(), _inputs()
    end = _in_a_thread(made.execution, "enter")
    step = record_step(made.hosting.state, inputs, unknown_yet)
    digest = plan_digest(joiner_plan(made.hosting.plugins, inputs, "n2", step), inputs)
    made.hosting.outlook(_guest("n2"), Outlook(lines=(), digest=digest))
    for name in ("n2", "n3"):
        made.hosting.ready(_guest(name), "service", b"")
    while not made.session.given:
        time.sleep(0.01)
    for step, what in (("other", "done"), ("in", "started")):
        made.hosting.progress(_guest("n2"), _happened("n2", step, what))
    assert not made.hosting._handing._turns.ask("service", "n3")
    made.hosting.progress(_guest("n2"), _happened("n2", "in", "done"))
    while len(made.session.given) < 2:
        time.sleep(0.01)
    for name in ("n2", "n3"):
        made.hosting.settled(_guest(name), Joined(stage="enter"))
    assert end() is None


def _happened(machine, step, what):
    return Happening(machine=machine, plugin="service", hook="join", about=machine, step=step, what=what)


def test_who_fails_while_a_smaller_roster_takes_over_is_not_waited_for(host_of):
    made = host_of()
    made.hosting.failed["n2"] = "just now"
    made.hosting.begin(made.session, made.execution, _inputs())
    end = _in_a_thread(made.execution, "adapt")
    made.hosting.settled(_guest("n3"), Joined(stage="adapt"))
    assert end() is None


def test_strangers_to_the_roster_are_nobodys_failure(host_of):
    made = host_of()
    made.hosting.cut_off(_guest("n9"), "whatever")
    assert made.hosting.failed == {}


def test_who_is_cut_off_is_known_by_its_certificate_whatever_it_is_called_now(host_of):
    made = host_of()
    made.hosting.cut_off(_guest("n9", fingerprint=_mark("n2")), "nothing was heard of it")
    assert made.hosting.failed == {"n2": "nothing was heard of it"}


def test_a_namesake_of_one_in_the_roster_is_not_cut_off_in_its_place(host_of):
    made = host_of()
    made.hosting.cut_off(_guest("n2", fingerprint=_mark("n9")), "it left")
    assert made.hosting.failed == {}


def test_who_comes_and_goes_all_the_time_does_not_fill_the_screen(host_of):
    made = host_of()
    for _ in range(500):
        made.hosting.noticed(_guest("n2", standing="away"), "is away")
    made.hosting.noticed(_guest("n3", standing="here"), "is here")
    assert len(made.notices) <= 30
    assert made.notices[-2:] == ["n2 says more than is shown here", "n3 (10.0.0.2) is here"]


def test_who_reports_all_the_time_is_shown_in_part_and_its_turn_ends_all_the_same(host_of):
    made, shown = host_of(), []
    made.hosting.watch = shown.append
    made.hosting._last_with_token["n2"] = {"service": "in"}
    end = _in_a_thread(made.execution, "enter")
    for name in ("n2", "n3"):
        made.hosting.ready(_guest(name), "service", b"")
    for _ in range(5000):
        made.hosting.progress(_guest("n2"), _happened("n2", "in", "report"))
    assert 300 <= len(shown) < 1000
    while not made.session.given:  # nobody is done with a step before it has the token for it
        time.sleep(0.01)
    made.hosting.progress(_guest("n2"), _happened("n2", "in", "done"))
    while len(made.session.given) < 2:
        time.sleep(0.01)
    for name in ("n2", "n3"):
        made.hosting.settled(_guest(name), Joined(stage="enter"))
    assert end() is None


@pytest.mark.parametrize("fact", [{}, {"kind": ["no name"], "fact": {}}])
def test_facts_that_make_no_sense_end_the_part_of_who_tells_them_and_not_the_run(host_of, fact):
    made = host_of()
    with pytest.raises(ProtocolError, match="make no sense"):
        made.hosting.settled(_guest("n2"), Joined(stage="enter", facts={"service": (fact,)}))


def test_facts_of_what_is_not_known_here_are_passed_on_to_nobody(host_of):
    made = host_of()
    guest = _guest("n2")
    guest.facts = {"service": (), "other": ({"any": "thing"},)}
    made.session.lobby.distinct = lambda: (guest,)
    assert made.hosting.facts(_inputs())["n2"] == {"service": ()}


def test_a_plan_of_steps_that_nobody_knows_is_not_shown(host_of):
    """A person has to read all lines before confirming them."""
    made, inputs = host_of(), _inputs()
    step = record_step(made.hosting.state, inputs, unknown_yet)
    digest = plan_digest(joiner_plan(made.hosting.plugins, inputs, "n2", step), inputs)
    known = OutlookLine(key="join/service/n2/n2/in", to_do=True)
    made.hosting.outlook(_guest("n2"), Outlook(lines=(known,), digest=digest))
    for lines in ((known, known), (OutlookLine(key="join/service/n3/n3/in", to_do=True),)):
        with pytest.raises(ProtocolError, match="shows steps"):
            made.hosting.outlook(_guest("n2"), Outlook(lines=lines, digest=digest))


def test_another_plan_is_refused(host_of):
    with pytest.raises(ProtocolError, match="another plan"):
        host_of().hosting.outlook(_guest("n2"), Outlook(lines=(), digest="0" * 64))


def test_who_heard_the_end_is_written_down_once(host_of):
    made = host_of()
    for _ in range(2):
        made.hosting.parted(_guest("n2"))
    lines = [line["machine"] for line in made.hosting.journal.lines() if line["event"] == "parted"]
    assert lines == ["n2"]


def test_with_each_notice_of_a_joiner_a_program_is_told_where_it_is(folder):
    notices, seen = [], []
    hosting = Hosting(
        Plugins.of(service=Service()), State(folder / "state"), Secrets(), lambda _happening: None,
        notices.append, lambda *what: seen.append(what),
    )  # fmt: skip
    hosting.noticed(_guest("n2", standing="here"), "is here")
    hosting.expect(_inputs("go-on"))
    hosting.cut_off(_guest("n3"), "it left")
    assert len(notices) == 2
    assert seen == [("n2", "here"), ("n3", "failed")]
