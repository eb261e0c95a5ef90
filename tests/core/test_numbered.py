"""Picking by numbers: what is printed line by line, and what is taken."""

import click
import pytest

from mcloud.cli.numbered import pick_numbered
from mcloud.cli.output import Output
from mcloud.prompting import Pick, Row
from mcloud.secrets import Secrets


class Person:
    """Types lines; what is not a string is done first, and then time passes."""

    def __init__(self, *acts):
        self.acts = list(acts)

    def __call__(self, seconds):
        act = self.acts.pop(0)
        if isinstance(act, str):
            return act
        act()
        return None


@pytest.fixture
def rows():
    return [Row(key=key, cells=(f"n{key}", f"10.10.0.{key}"), group=key) for key in "1234"]


@pytest.fixture
def picked(rows, capsys):
    def run(*acts, **options):
        pick = Pick(question="Which machines?", columns=("NAME", "ADDRESS"), rows=lambda: rows, **options)
        output = Output(Secrets(), json_lines=False, plain=True)
        taken = pick_numbered(pick, output, Person(*acts))
        return taken, capsys.readouterr().out

    return run


def test_rows_are_numbered_and_numbers_ranges_and_enter_take_them(picked):
    (keys, titles), out = picked("1 3-4", "3", "")
    assert (keys, titles) == (("1", "4"), ["n1", "n4"])
    assert "         NAME  ADDRESS\n  1  [ ] n1    10.10.0.1\n  2  [ ] n2    10.10.0.2\n" in out
    assert "3 of 4 picked: 1 n1, 3 n3, 4 n4\n" in out
    assert "2 of 4 picked: 1 n1, 4 n4\n" in out
    assert "\x1b" not in out
    assert "\r" not in out


def test_all_none_and_the_list_again(picked):
    (keys, _titles), out = picked("all", "none", "all", "?", "", least=1)
    assert keys == ("1", "2", "3", "4")
    assert "0 of 4 picked\n" in out
    assert "  4  [x] n4    10.10.0.4\n" in out


def test_a_word_lists_the_rows_that_have_it_with_their_numbers(picked):
    (keys, _titles), out = picked("10.10.0.3", "zebra", "3", "")
    assert keys == ("3",)
    assert out.count("  3  [ ] n3") == 2
    assert 'Nothing has "zebra" in it.' in out


def test_what_comes_changes_and_goes_is_one_line_each_and_numbers_stay(picked, rows):
    def change():
        del rows[0]
        rows[0] = Row(key="2", cells=("n2", "10.10.0.2"), closed="it is away")
        rows[1] = Row(key="3", cells=("n3", "10.10.0.99"))
        rows.append(Row(key="5", cells=("n5", "10.10.0.5")))

    (keys, _titles), out = picked("1 2", change, "1 2", "1-4", "2", "4 5", "")
    assert keys == ("4", "5")
    for line in (
        "1: n1 is gone and no longer picked.",
        "2: n2 is no longer picked: it is away.",
        "3 has changed: n3, 10.10.0.99",
        "5 is new: n5, 10.10.0.5",
        "There is no 1; ? lists what there is.",
        "n2 cannot be picked: it is away.",
    ):
        assert f"{line}\n" in out, line


def test_the_same_limits_and_reasons_as_with_the_keyboard(picked):
    check = lambda keys: "never without n4" if "4" not in keys else ""  # noqa: E731 - short
    (keys, _titles), out = picked("", "1 2 3", "", "2", "4", "", least=1, most=2, check=check)
    assert keys == ("1", "4")
    assert "at least one must be picked.\n" in out
    assert "at most 2 can be picked.\n" in out
    assert "never without n4.\n" in out


def test_of_one_the_number_takes_it(picked):
    (keys, _titles), out = picked("", "1 2", "9", "2", least=1, most=1)
    assert keys == ("2",)
    assert "Type the number of a row.\n" in out
    assert "Only one can be picked.\n" in out
    assert "There is no 9;" in out
    assert "[x]" not in out


def test_of_one_that_is_picked_beforehand_enter_takes_it(picked, rows):
    rows[2] = Row(key="3", cells=("n3", "c"), picked=True)
    assert picked("", least=1, most=1)[0][0] == ("3",)


def test_a_range_without_end_is_no_work(picked):
    _taken, out = picked("1-999999", "")
    assert "There is no 5, 6, 7, 8, 9; ? lists" in out


def test_before_anything_comes_it_says_so(picked, rows):
    late = rows[:1]
    rows.clear()
    (keys, _titles), out = picked(lambda: rows.extend(late), "1", "")
    assert keys == ("1",)
    assert "Nothing to pick from yet" in out
    assert "1 is new: n1, 10.10.0.1\n" in out


def test_the_end_of_the_input_is_abort(rows):
    def gone():
        raise click.Abort

    with pytest.raises(click.Abort):
        pick_numbered(
            Pick(question="?", columns=("N",), rows=lambda: rows),
            Output(Secrets(), json_lines=False, plain=True),
            Person(gone),
        )


def test_rows_too_wide_for_aligned_columns_are_said_one_cell_after_another(picked, rows):
    rows[0] = Row(key="1", cells=("n" * 63, "an address an address an address"))
    _taken, out = picked("")
    assert f"  1  [ ] {'n' * 63}, an address an address an address\n" in out
