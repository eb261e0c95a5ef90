"""Machines are picked with the keyboard while they come, leave and return; Ctrl-C tells the joiners."""

import pytest
from terminals import Terminal

from mcloud.lab.roots import environment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

RIGHT, ENTER, CTRL_C = "\x1b[C", "\r", "\x03"


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=3)


@pytest.fixture
def clean(lab):
    """Take back on every machine what a test formed."""
    yield lab
    undone = [lab.machine(f"n{n}").popen(["mcloud", "undo", "--yes"]) for n in (1, 2, 3)]
    for one in undone:
        one.wait(timeout=120)


def typed(lab, name, *command):
    argv = lab.machine(name).argv(["mcloud", *command, "--address", f"10.10.0.1{name[1]}"])
    return Terminal(argv, env=environment(), rows=24)


def begun(lab):
    """Return the initiator's terminal at its empty table, and the code."""
    initiator = typed(lab, "n1", "init", "--service", "lxd")
    initiator.expect("Will other machines join")
    initiator.type("")
    code = initiator.expect(r"code is:\s+(\S+ \S+ \S+ \S+)")
    initiator.until(shows("nothing yet"))
    return initiator, code


def joining(lab, name, code):
    joiner = typed(lab, name, "join")
    joiner.expect("Code shown by the initiator: ")
    joiner.type(code)
    return joiner


def shows(*parts):
    """Return a condition: every part is in some line of the screen, words apart by any blanks."""

    def holds(screen):
        lines = [" ".join(line.split()) for line in screen]
        return all(any(part in line for line in lines) for part in parts)

    return holds


def test_who_quits_is_unmarked_and_who_returns_is_the_same_row(clean):
    initiator, code = begun(clean)
    second = joining(clean, "n2", code)
    initiator.until(shows("> [ ] n2 10.10.0.12", "lxd"))
    third = joining(clean, "n3", code)
    initiator.until(shows("[ ] n3 10.10.0.13"))
    initiator.press(RIGHT)
    initiator.until(shows("> [x] n2", "[x] n3", "2 of 2 picked"))
    third.interrupt()
    initiator.until(shows("[x] n2", "n3 is gone and no longer picked", "1 of "))
    third.end()
    third = joining(clean, "n3", code)
    initiator.until(shows("[ ] n3 10.10.0.13"))
    assert sum(" n3 " in line for line in initiator.screen if "[" in line) == 1
    initiator.press(RIGHT)
    initiator.until(shows("[x] n3", "2 of 2 picked"))
    initiator.press(ENTER)
    initiator.until(shows("Which disk does each machine give", "> [x] n1"))
    initiator.press(ENTER)
    initiator.expect("Storage driver")
    initiator.press(ENTER)
    initiator.expect(r"Carry out this plan\? \[Y/n\] ")
    initiator.type("y")
    assert [terminal.end() for terminal in (initiator, second, third)] == [0, 0, 0]
    assert any("3 machines (n1, n2, n3)" in line for line in initiator.lines)
    assert not any("[x]" in line or "Enter takes" in line for line in initiator.lines)
    assert max(map(len, initiator.lines)) <= 80


def test_ctrl_c_at_the_table_tells_the_joiners_and_leaves_nothing(clean):
    initiator, code = begun(clean)
    joiner = joining(clean, "n2", code)
    initiator.until(shows("> [ ] n2"))
    initiator.press(CTRL_C)
    assert initiator.end() == 130
    assert joiner.end() == 1
    assert any("n1 gave up: stopped by its operator" in line for line in joiner.lines)
    assert not any("[ ]" in line or "Traceback" in line for line in initiator.lines)
    assert initiator.cursor_shown
