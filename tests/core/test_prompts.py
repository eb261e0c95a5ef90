"""Questions where nobody can be asked: each says which answer is missing and how else to give it."""

import time

import pytest

from mcloud.cli.picking import Picking
from mcloud.cli.picktable import table_lines
from mcloud.cli.screen import Screen
from mcloud.errors import SettingsError
from mcloud.prompting import Pick, Row
from mcloud.secrets import Secrets

PICK = Pick(question="Which machines?", columns=("NAME",), rows=list, otherwise="--expect N or --all")


@pytest.mark.parametrize("json_lines", [False, True])
@pytest.mark.parametrize(
    ("ask", "message", "otherwise"),
    [
        (lambda on: on.pick(PICK), "an answer is missing: Which machines?", "--expect N or --all"),
        (lambda on: on.ask("Uplink: ", otherwise="ovn.uplink"), "an answer is missing: Uplink", "ovn.uplink"),
        (lambda on: on.ask("Key", secret=True, otherwise="x.key"), "an answer is missing: Key", "x.key"),
        (
            lambda on: on.agree("Go on?", default=True, otherwise="--yes"),
            "an answer is missing: Go on?",
            "--yes",
        ),
    ],
)
def test_without_a_terminal_a_question_is_an_error_that_says_what_to_give_instead(
    capsys, json_lines, ask, message, otherwise
):
    with pytest.raises(SettingsError) as raised:
        ask(Screen(Secrets(), json_lines=json_lines))
    assert str(raised.value) == message
    assert raised.value.hint == f"there is no terminal to ask at: {otherwise}"
    assert capsys.readouterr().out == ""


def test_headings_and_complaints_are_lines_and_no_objects(capsys):
    for json_lines in (False, True):
        screen = Screen(Secrets(), json_lines=json_lines)
        screen.heading("Storage")
        screen.complain("it is no address")
    assert capsys.readouterr().out == "\nStorage\nNot accepted: it is no address\n"


def test_a_table_of_five_hundred_disks_is_quick_enough_to_type_in():
    rows = [
        Row(key=f"{m}/{d}", cells=(f"machine-{m}", f"/dev/disk/by-id/wwn-{m:04}{d:02}", "4 TB"), group=str(m))
        for m in range(50)
        for d in range(10)
    ]
    state = Picking(Pick(question="?", columns=("MACHINE", "DISK", "SIZE"), rows=lambda: list(rows)))
    began = time.process_time()
    for number in range(10):
        state.all()
        state.move(7)
        rows[number] = Row(key=rows[number].key, cells=("changed", str(number), ""))
        state.reread()
        table_lines(state, [], width=80, height=24)
    assert (time.process_time() - began) / 10 < 0.25
