"""`init` and `join` at terminals: the code, the questions, Ctrl-C on either side, a killed initiator."""

import time

import pytest
from terminals import Terminal

from mcloud.lab.roots import environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

ADDRESSES = {"n1": "10.10.0.11", "n2": "10.10.0.12", "n3": "10.10.0.13"}
STOPPED = 130
KNOWN_WITHIN = 5.0
"""Seconds in which a joiner knows that the initiator is gone."""


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=3)


@pytest.fixture
def clean(lab):
    """Take back on every machine what a test formed, so that the next one finds nothing."""
    yield lab
    undone = [lab.machine(name).popen(["mcloud", "undo", "--yes"]) for name in ADDRESSES]
    for one in undone:
        one.wait(timeout=120)


def init(lab, *options):
    return _typed(lab, "n1", "init", "--service", "lxd", *options)


def join(lab, name):
    return _typed(lab, name, "join", "--initiator-address", ADDRESSES["n1"])


def _typed(lab, name, *command):
    argv = lab.machine(name).argv(["mcloud", *command, "--address", ADDRESSES[name]])
    return Terminal(argv, env=environment())


def code_of(initiator):
    return initiator.expect(r"code is:\s+(\S+ \S+ \S+ \S+)")


def let_in(joiner, code):
    joiner.expect("Code shown by the initiator: ")
    joiner.type(code)
    joiner.expect("trust each other")


def met(lab):
    """Bring all three together and return their terminals; nothing is confirmed yet."""
    initiator = init(lab, "--expect", "2", "--defaults")
    code = code_of(initiator)
    joiners = [join(lab, name) for name in ("n2", "n3")]
    for joiner in joiners:
        let_in(joiner, code)
    initiator.expect(r"Carry out this plan\? \[Y/n\] ")
    return initiator, *joiners


def kill_initiator(lab, *joiners, way="killed"):
    """End `init` without a word: all joiners say within seconds that it is away, and why they think so."""
    began = time.monotonic()
    if way == "killed":
        lab.machine("n1").run(["pkill", "-KILL", "-f", "mcloud init"])
    else:
        lab.kill("n1")
    for joiner in joiners:
        assert joiner.expect(r"n1 is away: ([^;]+);")
    assert time.monotonic() - began < KNOWN_WITHIN


def told(terminal):
    """Return all that was said at a terminal as one line."""
    return " ".join(" ".join(terminal.lines).split())


def joined(terminal):
    return any("is part of cloud" in line for line in terminal.lines)


def test_a_wrong_code_is_told_to_both_and_a_person_picks_who_takes_part(clean):
    initiator = init(clean, "--plain")
    initiator.expect(r"Will other machines join\? \[Y/n\] ")
    initiator.type("")
    code = code_of(initiator)
    second = join(clean, "n2")
    second.expect("Code shown by the initiator: ")
    second.type("acorn acorn acorn acorn")
    second.expect("the code is wrong")
    initiator.expect("wrong code")
    let_in(second, code)
    initiator.expect("1 is new: n2")
    third = join(clean, "n3")
    let_in(third, code.upper().replace(" ", "-"))
    initiator.expect("2 is new: n3")
    initiator.type("all")
    initiator.expect("2 of 2 picked")
    initiator.type("")
    for question in ("local storage\\?", "Storage driver"):
        initiator.expect(question)
        initiator.expect("(?:take|\\[auto\\]): ")
        initiator.type("")
    initiator.expect(r"Carry out this plan\? \[Y/n\] ")
    initiator.type("")
    assert [terminal.end() for terminal in (initiator, second, third)] == [0, 0, 0]
    assert any(line.startswith("Cloud cloud: 3 machines (n1, n2, n3), formed in") for line in initiator.lines)
    assert joined(second)
    assert joined(third)
    assert code not in clean.machine("n1").run(["sh", "-c", "cat /var/lib/mcloud/runs/*"]).stdout
    answers = clean.machine("n1").run(["cat", "/var/lib/mcloud/answers.yaml"]).stdout
    assert "n3:" in answers
    assert code not in answers


def test_who_does_not_fit_is_told_why_on_both_screens_and_comes_in_once_that_is_put_right(clean):
    options = ("--service", "lxd", "--service", "ovn", "--expect", "3", "--defaults")
    initiator = _typed(clean, "n1", "init", *options)
    code = code_of(initiator)
    second = join(clean, "n2")
    let_in(second, code)
    initiator.expect("n2 .* is here")
    for wrong, right, status, reason in (
        ("hostname n2", "hostname n3", 1, "two machines are called n2"),
        ("mv /usr/bin/ovn-controller /root", "mv /root/ovn-controller /usr/bin", 2, "ovn: wanted 23.03.x"),
    ):
        clean.machine("n3").run(["sh", "-c", wrong])
        try:
            third = join(clean, "n3")
            let_in(third, code)
            assert third.end() == status
        finally:
            clean.machine("n3").run(["sh", "-c", right])
        assert reason in told(third)
        initiator.expect("was refused")
        initiator.until(lambda _, reason=reason: reason in told(initiator))
    third = join(clean, "n3")
    let_in(third, code)
    initiator.expect("n3 .* is here")
    initiator.interrupt()
    assert initiator.end() == STOPPED
    assert [second.end(), third.end()] == [1, 1]


def test_ctrl_c_while_machines_meet_ends_at_once_and_the_joiner_is_told_why(clean):
    initiator = init(clean, "--all", "--defaults")
    joiner = join(clean, "n2")
    let_in(joiner, code_of(initiator))
    initiator.expect("n2 .* is here")
    began = time.monotonic()
    initiator.interrupt()
    assert initiator.end() == STOPPED
    assert joiner.end() == 1
    assert time.monotonic() - began < 10
    assert any("n1 gave up: stopped by its operator" in line for line in joiner.lines)
    assert not any("Traceback" in line for line in [*initiator.lines, *joiner.lines])


def test_ctrl_c_on_a_joiner_is_told_to_the_initiator_who_waits_for_it(clean):
    initiator = init(clean, "--all", "--defaults")
    code = code_of(initiator)
    joiner = join(clean, "n2")
    let_in(joiner, code)
    initiator.expect("n2 .* is here")
    joiner.interrupt()
    assert joiner.end() == STOPPED
    initiator.expect("n2 .* left: stopped by its operator")
    again = join(clean, "n2")
    let_in(again, code)
    initiator.expect("n2 .* is here")
    initiator.interrupt()
    assert initiator.end() == STOPPED
    again.end()


def test_ctrl_c_on_the_initiator_in_the_middle_of_a_run_and_the_same_commands_go_on(clean):
    initiator, second, third = met(clean)
    initiator.type("y")
    initiator.expect("steps done")
    initiator.interrupt()
    assert initiator.end() == STOPPED
    assert [second.end(), third.end()] == [1, 1]
    for joiner in (second, third):
        assert any("n1 gave up: stopped by its operator" in line for line in joiner.lines)
    again = [init(clean, "--expect", "2", "--defaults"), join(clean, "n2"), join(clean, "n3")]
    again[0].expect("going on with run")
    assert [terminal.end() for terminal in again] == [0, 0, 0]
    assert any("3 machines (n1, n2, n3)" in line for line in again[0].lines)


def test_ctrl_c_on_a_joiner_in_the_middle_of_a_run_and_the_same_command_goes_on(clean):
    initiator, second, third = met(clean)
    initiator.type("y")
    second.expect("steps done")
    second.interrupt()
    assert second.end() == STOPPED
    initiator.expect("n2 .* is away: stopped by its operator")
    again = join(clean, "n2")
    again.expect("going on with run")
    assert [terminal.end() for terminal in (initiator, again, third)] == [0, 0, 0]
    assert any("3 machines (n1, n2, n3)" in line for line in initiator.lines)


@pytest.mark.parametrize("way", ["killed", "without power"])
def test_an_initiator_that_is_killed_in_the_questions_is_missed_at_once(clean, way):
    initiator = init(clean, "--expect", "2")
    code = code_of(initiator)
    joiners = [join(clean, name) for name in ("n2", "n3")]
    for joiner in joiners:
        let_in(joiner, code)
    initiator.expect("Which disk does each machine give to local storage")
    kill_initiator(clean, *joiners, way=way)
    for joiner in joiners:
        joiner.interrupt()
        assert joiner.end() == STOPPED
    if way == "without power":
        clean.boot("n1")


def test_an_initiator_that_is_killed_in_the_run_is_missed_at_once_and_typed_again_it_goes_on(clean):
    initiator, second, third = met(clean)
    initiator.type("y")
    initiator.expect("steps done")
    kill_initiator(clean, second, third)
    again = init(clean, "--expect", "2", "--defaults")
    again.expect("going on with run")
    assert [terminal.end() for terminal in (again, second, third)] == [0, 0, 0]
    assert joined(second)
    assert joined(third)
