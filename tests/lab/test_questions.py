"""`mcloud init --plain` on one machine: every question by lines, no at the end, and the file that is kept."""

import re

import pytest
from terminals import Terminal

from mcloud.lab.roots import environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

ANSWERS = "/var/lib/mcloud/answers.yaml"
STOPPED = 130


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=1)


def init(lab, *options):
    return Terminal(lab.machine("n1").argv(["mcloud", "init", "--plain", *options]), env=environment())


def pick(terminal, question, number=""):
    """Answer a table: by the number of a row where one is wanted, else with what is picked beforehand."""
    terminal.expect(re.escape(question))
    terminal.expect(r"(?:A number|Numbers)[^\n]*: ")
    terminal.type(number)


def say(terminal, question, line):
    terminal.expect(question)
    terminal.type(line)


def to_the_plan(terminal):
    """Answer everything, wrongly now and then."""
    pick(terminal, "Which address do the machines talk to each other by?", "1")
    say(terminal, r"Will other machines join\? \[Y/n\] ", "n")
    pick(terminal, "Which disk does each machine give to local storage?")
    say(terminal, r"Storage driver for these disks[^:]*\[auto\]: ", "ext4")
    terminal.expect("Not accepted: should be 'auto'")
    say(terminal, r"Storage driver for these disks[^:]*\[auto\]: ", "btrfs")
    pick(terminal, "taken for local")
    say(terminal, r"internal network[^:]*\[10.10.0.0/24\]: ", "10.10.2.0/24")
    say(terminal, r"public network[^:]*\[10.10.2.0/24\]: ", "10.99.0.0/24")
    terminal.expect("Not accepted: no address in 10.99.0.0/24 on n1")
    say(terminal, r"public network[^:]*\[10.10.2.0/24\]: ", "10.10.0.0/24")
    say(terminal, r"IPv4 gateway[^:]*\(empty: none\): ", "192.0.2.1")
    terminal.expect("needs the length of its network's prefix")
    say(terminal, r"IPv4 gateway[^:]*\(empty: none\): ", "192.0.2.1/24")
    say(terminal, "first-last: ", "192.0.2.1-192.0.2.20")
    terminal.expect("holds the gateway")
    say(terminal, "first-last: ", "192.0.2.10-192.0.2.20")
    say(terminal, r"IPv6 gateway[^:]*\(empty: none\): ", "")
    pick(terminal, "leads to the uplink network?")
    say(terminal, r"DNS servers[^:]*\[192.0.2.1\]: ", "")


def plan_of(lines):
    """Return the steps of a plan on the screen, by machine and service, as one text each."""
    begin = lines.index("Plan")
    end = next(at for at, line in enumerate(lines) if at > begin and line.startswith(("WARNING", "LOST")))
    return " ".join(" ".join(lines[begin + 1 : end]).split())


def traces(lab):
    """Return what mcloud keeps on the machine, and whether its services hold anything."""
    machine = lab.machine("n1")
    kept = machine.run(["find", "/var/lib/mcloud", "-type", "f"], check=False).stdout.split()
    disks = machine.run(["sh", "-c", "wipefs /dev/sda /dev/sdb"]).stdout
    return sorted(kept), disks, machine.run(["lxc", "storage", "list", "-f", "csv"]).stdout


def test_ctrl_c_in_the_questions_leaves_no_trace(lab):
    terminal = init(lab)
    pick(terminal, "Which address do the machines talk to each other by?", "1")
    say(terminal, r"Will other machines join\? \[Y/n\] ", "n")
    pick(terminal, "Which disk does each machine give to local storage?")
    terminal.expect("Storage driver for these disks")
    terminal.interrupt()
    assert terminal.end() == STOPPED
    kept = ["/var/lib/mcloud/certificate.pem", "/var/lib/mcloud/key.pem", "/var/lib/mcloud/lock"]
    assert traces(lab) == (kept, "", "")


def test_the_answers_kept_after_a_no_give_the_same_plan(lab):
    terminal = init(lab)
    to_the_plan(terminal)
    say(terminal, r"Carry out this plan\? \[Y/n\] ", "n")
    say(terminal, r"Keep the answers in /var/lib/mcloud/answers.yaml.*\? \[Y/n\] ", "y")
    assert terminal.end() == 1
    assert any("the plan was not confirmed" in line for line in terminal.lines)
    machine = lab.machine("n1")
    assert machine.run(["stat", "-c", "%a", ANSWERS]).stdout.strip() == "600"
    again = Terminal(machine.argv(["mcloud", "plan", ANSWERS, "--plain"]), env=environment())
    assert again.end() == 0
    assert plan_of(again.lines) == plan_of(terminal.lines)
    assert "osd-by-id-lab-n1-sdb" in plan_of(again.lines)
    kept, disks, pools = traces(lab)
    assert (ANSWERS in kept, disks, pools) == (True, "", "")


def test_with_defaults_and_without_a_terminal_nothing_waits(lab):
    machine = lab.machine("n1")
    refused = machine.run(
        ["mcloud", "init", "--expect", "0", "--yes", "--address", "10.10.0.11"], check=False
    )
    assert refused.returncode == 2
    assert "an answer is missing" in refused.stderr
    several = machine.run(["mcloud", "init", "--expect", "0", "--defaults", "--yes"], check=False)
    assert several.returncode == 2
    assert "--address" in several.stderr
