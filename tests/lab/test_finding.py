"""Several initiators on one network, and initiators that die: what a joiner at a terminal sees and does."""

import time
from contextlib import suppress

import pytest
from clouds import cloud_file
from terminals import Terminal

from mcloud.lab.forming import begin, hand_out
from mcloud.lab.roots import environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

ADDRESSES = {"n1": "10.10.0.11", "n2": "10.10.0.12", "n3": "10.10.0.13"}
ASKED = "Code shown by the initiator: "
DOWN = "\x1b[B"


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=3)


@pytest.fixture
def terminals(lab):
    """Return a function that types a command on a machine; whatever is left at the end is stopped."""
    opened = []

    def typed(name, *command):
        argv = lab.machine(name).argv(["mcloud", *command, "--address", ADDRESSES[name]])
        opened.append(Terminal(argv, env=environment()))
        return opened[-1]

    yield typed
    for name in ADDRESSES:
        lab.machine(name).run(["pkill", "-KILL", "-f", "mcloud (init|join|preseed)"], check=False)
    for one in opened:
        with suppress(ValueError):  # the test has seen its end
            one.end()


@pytest.fixture
def lead(terminals):
    """Return a function that types `init` on a machine and gives its terminal and its code."""

    def begin_on(name):
        terminal = terminals(name, "init", "--service", "lxd", "--expect", "5")
        return terminal, terminal.expect(r"code is:\s+(\S+ \S+ \S+ \S+)")

    return begin_on


def killed(lab, name):
    """Kill `mcloud init` on a machine, so that it cannot say a word."""
    lab.machine(name).run(["pkill", "-KILL", "-f", "mcloud init"])
    return time.monotonic()


def told(terminal):
    return " ".join(line.strip() for line in terminal.lines)


def test_of_two_initiators_one_is_picked_and_a_code_of_the_other_does_not_fit(lead, terminals):
    first, first_code = lead("n1")
    _other, other_code = lead("n3")
    joiner = terminals("n2", "join")
    joiner.expect("Which initiator is this machine to join")
    joiner.until(lambda lines: sum("10.10.0.1" in line and "mdns" in line for line in lines) == 2)
    rows = [line for line in joiner.screen if "10.10.0.1" in line]
    joiner.press("\r" if "n1" in rows[0] else f"{DOWN}\r")
    joiner.expect(ASKED)
    assert "initiator: n1 (10.10.0.11, port 9442), fingerprint " in told(joiner)
    joiner.type(other_code)
    joiner.expect("the code is wrong")
    joiner.expect(ASKED)
    joiner.type(first_code)
    mark = joiner.expect(r"trust each other \(fingerprint (\S+ \S+ \S+ \S+) ")
    assert mark in told(joiner).partition("fingerprint ")[2]
    first.expect("n2")


@pytest.mark.parametrize("way", ["killed", "stopped", "terminated", "hung up"])
def test_an_initiator_that_ends_in_whatever_way_is_known_within_five_seconds_and_found_again(
    lab, lead, terminals, way
):
    initiator, code = lead("n1")
    joiner = terminals("n2", "join")
    joiner.expect(ASKED)
    joiner.type(code)
    joiner.expect("waiting for n1")
    initiator.expect("n2")
    if way == "killed":
        began = killed(lab, "n1")
        joiner.expect("n1 is away: ")
        assert time.monotonic() - began < 5
        _again, code = lead("n1")
        joiner.expect("looking for n1")
        joiner.expect(ASKED)
        joiner.type(code)
        joiner.expect("trust each other")
        return
    began = time.monotonic()
    if way == "stopped":
        initiator.interrupt()
    else:
        lab.machine("n1").run(["pkill", {"terminated": "-TERM", "hung up": "-HUP"}[way], "-f", "mcloud init"])
    joiner.expect("n1 gave up: ")
    assert time.monotonic() - began < 5
    assert joiner.end() == 1
    assert "stopped by its operator" in told(joiner)


def test_a_cut_network_is_known_within_five_seconds_and_mended_nothing_is_lost(lab, lead, terminals):
    initiator, code = lead("n1")
    joiner = terminals("n2", "join")
    joiner.expect(ASKED)
    joiner.type(code)
    joiner.expect("waiting for n1")
    initiator.expect("n2")
    lab.cut("n1", "n2")
    began = time.monotonic()
    joiner.expect("n1 is away: ")
    assert time.monotonic() - began < 5
    lab.mend("n1", "n2")
    initiator.expect("n2.* is here")


def test_without_a_terminal_several_are_an_error_that_says_how_to_name_one(lab, lead):
    lead("n1")
    lead("n3")
    piped = ["sh", "-c", "echo acorn | mcloud join --address 10.10.0.12 --patience 20"]
    done = lab.machine("n2").run(piped, check=False)
    assert done.returncode == 2
    assert "there are several initiators" in done.stderr
    assert "--initiator NAME" in done.stderr


def test_a_file_says_which_of_several_initiators_it_means(lab, lead):
    lead("n3")
    text = cloud_file(2, services=("lxd",), meet={"discovery": ["mdns"], "code_file": "/root/mcloud.code"})
    hand_out(lab, text, ["n1", "n2"])
    running = [begin(lab.machine(name)) for name in ("n1", "n2")]
    assert [one.wait(timeout=120) for one in running] == [0, 0]
