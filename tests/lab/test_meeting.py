"""A person with four machines and no file: `init` on one, `join` on the others, a cloud of all services."""

import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clouds
import pytest
from terminals import Terminal

from mcloud.lab import Lab
from mcloud.lab.roots import environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

TRANSCRIPTS = Path(__file__).parents[2] / "docs" / "transcripts"
WRITE = "MCLOUD_WRITE_TRANSCRIPTS"
"""Set to 1, a run writes there what was on its terminals."""
ANSWERS = "/var/lib/mcloud/answers.yaml"
JOINERS = ("n2", "n3", "n4")
RIGHT, ENTER = "\x1b[C", "\r"
MARK = r"fingerprint (?:is )?((?:[0-9a-f]{4} ){4}[0-9a-f]{4})"


class Evening:
    """What happens on four terminals, from the first command to the end."""

    def __init__(self, lab: Lab) -> None:
        """Type `init` on the first machine."""
        self.lab = lab
        self.captures: list[tuple[str, list[str]]] = []
        self.init = self.typed("n1", "init")
        self.joins: dict[str, Terminal] = {}

    def typed(self, name: str, *command: str) -> Terminal:
        """Type a command on a machine, which may be busy: nothing takes so many seconds."""
        return Terminal(self.lab.machine(name).argv(["mcloud", *command]), env=environment(), seconds=300)

    def meet(self) -> None:
        """Answer what comes first, type `join` and the code on the others, and pick them all."""
        pick(self.init, "Which address do the machines talk to each other by?")
        say(self.init, "Will other machines join? [Y/n]", "y")
        code = self.init.expect(r"code is:\s+(\S+ \S+ \S+ \S+)")
        self.joins = {name: self.typed(name, "join") for name in JOINERS}
        for joiner in self.joins.values():
            pick(joiner, "Which address do the machines talk to each other by?")
        for joiner in self.joins.values():
            say(joiner, "Code shown by the initiator:", code)
        self.init.until(lambda screen: all(row(screen, name) for name in JOINERS))
        self.capture("The machines that can be picked, while they come")
        self.init.press(RIGHT)
        self.init.until(lambda screen: "3 of 3 picked" in told(screen))
        self.capture("All of them picked")
        self.init.press(ENTER)

    def answer(self) -> None:
        """Answer all questions, as somebody who reads them."""
        pick(self.init, "Which disk does each machine give to local storage?")
        say(self.init, "Storage driver for these disks", "btrfs")
        self.init.until(asks("Which disks does Ceph get?"))
        self.capture("A table of disks, in which one is taken already")
        pick(self.init, "Which disks does Ceph get?")
        say(self.init, "Copies of all data", "3")
        say(self.init, "Ceph's internal network", "")
        say(self.init, "Ceph's public network", "")
        say(self.init, "Encrypt Ceph's traffic between machines?", "")
        say(self.init, "IPv4 gateway of the uplink network", "192.0.2.1/24")
        say(self.init, "Addresses there that virtual routers may take", "192.0.2.100-192.0.2.254")
        say(self.init, "IPv6 gateway of the uplink network", "2001:db8:2::1/64")
        pick(self.init, "Which interface of each machine leads to the uplink network?")
        say(self.init, "DNS servers of instances", "192.0.2.53")
        pick(self.init, "Which address carries instances' traffic between machines")

    def carry_out(self) -> None:
        """Confirm the plan, look at the lanes while they run, and see all terminals end well."""
        say(self.init, "Carry out this plan? [Y/n]", "y")
        with ThreadPoolExecutor(len(self.joins)) as aside:
            # What nobody reads would stop who writes it.
            ends = {name: aside.submit(joiner.end) for name, joiner in self.joins.items()}
            self.init.until(lambda screen: steps_done(screen) >= 30)  # well in the middle
            self.capture("The lanes of the machines, while they run")
            assert self.init.end() == 0, "\n".join(self.init.lines)
            assert {name: end.result() for name, end in ends.items()} == dict.fromkeys(JOINERS, 0)

    def capture(self, title: str) -> None:
        """Keep what the initiator's terminal shows just now."""
        self.captures.append((title, self.init.screen))

    def keep(self, family: str) -> None:
        """Write all of it down as evidence, if that is wanted."""
        if os.environ.get(WRITE) != "1":
            return
        parts = [
            (f"Four machines at four terminals, found by multicast over {family}", []),
            *((f"n1, a capture: {title[0].lower()}{title[1:]}", screen) for title, screen in self.captures),
            ("n1, all of it: mcloud init", self.init.lines),
            *((f"{name}, all of it: mcloud join", one.lines) for name, one in self.joins.items()),
        ]
        text = "\n\n".join("\n".join([f"=== {title} ".ljust(80, "="), *lines]) for title, lines in parts)
        TRANSCRIPTS.mkdir(exist_ok=True)
        (TRANSCRIPTS / f"meeting-{family.lower()}.txt").write_text(text + "\n")


def told(screen: list[str]) -> str:
    """Return what a screen says as one line, whatever its width broke."""
    return " ".join(" ".join(screen).split())


def asks(question: str) -> Callable[[list[str]], bool]:
    """Return the condition that a table stands below a question."""
    return lambda screen: question in told(screen) and "Enter takes" in screen[-1]


def pick(terminal: Terminal, question: str) -> None:
    """Take what a table has picked beforehand, once it can be taken."""
    terminal.until(asks(question))
    terminal.press(ENTER)


def say(terminal: Terminal, question: str, line: str) -> None:
    """Answer a question by a line, once it is the last thing on the screen."""
    terminal.until(
        lambda screen: question in told(screen[-3:]) and screen[-1].endswith((":", "[Y/n]", "[y/N]"))
    )
    terminal.type(line)


def row(screen: list[str], name: str) -> bool:
    """Whether a machine can be picked."""
    return any(re.search(rf"\[ \] {name} ", line) for line in screen)


def steps_done(screen: list[str]) -> int:
    """Return how many steps are done, as the line above the lanes has it; -1 without lanes."""
    counted = re.search(r"(\d+) of \d+ steps done", told(screen))
    return int(counted[1]) if counted and re.search(r"n4 +ovn +\d", "\n".join(screen)) else -1


def formed(lab: Lab, family: str) -> Evening:
    """Spend the evening, and keep it whatever comes of it."""
    evening = Evening(lab)
    try:
        evening.meet()
        evening.answer()
        evening.carry_out()
    finally:
        evening.keep(family)
    return evening


def assert_marks_are_the_same(evening: Evening) -> None:
    """What identifies the initiator and each joiner is on both their screens."""
    initiator = told(evening.init.lines)
    own = re.search(f"this machine's {MARK}", initiator)
    assert own, initiator
    for name, joiner in evening.joins.items():
        seen = told(joiner.lines)
        assert re.search(f"trust each other .{MARK}", seen)[1] == own[1]
        assert re.search(rf"{name} \S+ knows the code .{MARK}", initiator)[1] in seen


def assert_addresses(evening: Evening, start: str) -> None:
    """All that was shown and kept is of one family."""
    assert all(f"initiator: n1 ({start}11, port 9442)" in told(one.lines) for one in evening.joins.values())
    answers = evening.lab.machine("n1").run(["cat", ANSWERS]).stdout
    assert re.findall(r"\baddress: (\S+)", answers) == [f"{start}{n}" for n in (11, 12, 13, 14)]
    members = evening.lab.machine("n1").run(["lxc", "cluster", "list", "--format", "csv"]).stdout
    assert all(f"{start}{n}" in members for n in (11, 12, 13, 14))


def plan_of(lines: list[str]) -> str:
    """Return the steps of the last plan that was shown."""
    begin = max(at for at, line in enumerate(lines) if line == "Plan")
    end = next(at for at, line in enumerate(lines) if at > begin and line.startswith(("WARNING", "LOST")))
    return told(lines[begin + 1 : end])


@pytest.fixture(scope="module")
def over_ipv4(make_lab) -> Evening:
    """Spend an evening with machines as they come: with addresses of both families, IPv4 first."""
    return formed(make_lab(machines=4), "IPv4")


@pytest.fixture(scope="module")
def kept(over_ipv4) -> tuple[str, str]:
    """Return the answers of that evening, and their mode."""
    first = over_ipv4.lab.machine("n1")
    return first.run(["cat", ANSWERS]).stdout, first.run(["stat", "-c", "%a", ANSWERS]).stdout.strip()


@pytest.fixture(scope="module")
def fresh(make_lab, over_ipv4, kept) -> Lab:
    """Give machines just like those of that evening; these are gone then, and what is of them was read."""
    over_ipv4.lab.down()
    return make_lab(machines=4)


def test_found_over_ipv4_asked_everything_once_and_a_cloud_of_four_is_there(over_ipv4):
    assert clouds.amiss(over_ipv4.lab, monitors=3) == []
    assert_marks_are_the_same(over_ipv4)
    assert_addresses(over_ipv4, "10.10.0.")


def test_what_was_answered_is_a_file_for_root_alone_that_gives_the_same_plan(over_ipv4, kept, fresh):
    text, mode = kept
    assert mode == "600"
    running = {}
    for name in fresh.names():
        fresh.machine(name).run(["sh", "-c", "umask 077; cat > /root/kept.yaml"], input=text)
        running[name] = fresh.machine(name).popen(
            ["mcloud", "plan", "/root/kept.yaml"], stdout=subprocess.PIPE, text=True
        )
    said = {name: one.communicate(timeout=120)[0] for name, one in running.items()}
    assert {one.returncode for one in running.values()} == {0}, said
    assert plan_of(said["n1"].splitlines()) == plan_of(over_ipv4.init.lines)


def test_without_ipv4_they_find_each_other_over_ipv6_and_the_cloud_is_as_good(fresh):
    for name in fresh.names():
        machine = fresh.machine(name)
        machine.run(["sh", "-c", "ip -4 address flush dev eth0; ip -4 address flush dev eth2"])
        assert machine.run(["ip", "-4", "-brief", "address", "show", "scope", "global"]).stdout == ""
    evening = formed(fresh, "IPv6")
    assert clouds.amiss(fresh, monitors=3) == []
    assert_marks_are_the_same(evening)
    assert_addresses(evening, "fd10:10::")
    clouds.launch_instances(fresh)
    clouds.eventually(lambda: clouds.instances_ping(fresh), seconds=300)
