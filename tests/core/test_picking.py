"""A table to pick from, without a terminal: cursor, filter, marks, limits, and rows that come and go."""

import pytest

from mcloud.cli.picking import Picking
from mcloud.prompting import Pick, Row


class Table:
    """Rows that a test changes while they are picked from."""

    def __init__(self, *keys, **options):
        self.rows = [row(key) for key in keys]
        self.picking = Picking(
            Pick(question="Which?", columns=("NAME", "PLACE"), rows=lambda: self.rows, **options)
        )

    def put(self, key, **fields):
        """Put a row in, or change it."""
        self.rows = [row(key, **fields) if old.key == key else old for old in self.rows]
        if key not in [old.key for old in self.rows]:
            self.rows.append(row(key, **fields))
        return self.look()

    def drop(self, key):
        self.rows = [old for old in self.rows if old.key != key]
        return self.look()

    def look(self):
        return [(news.what, news.key) for news in self.picking.reread()]


def row(key, **fields):
    return Row(**{"key": key, "cells": (f"name-{key}", "here")} | fields)


def test_the_cursor_stays_within_the_rows_and_on_its_key():
    table = Table("a", "b", "c")
    picking = table.picking
    assert picking.cursor == "a"
    picking.move(-1)
    assert picking.cursor == "a"
    picking.move(1)
    table.rows.insert(0, row("new"))
    assert table.look() == [("new", "new")]
    assert (picking.cursor, picking.place) == ("b", 2)
    picking.move(99)
    assert picking.cursor == "c"


def test_where_the_cursors_row_goes_the_next_one_has_it():
    table = Table("a", "b", "c")
    table.picking.move(1)
    assert table.drop("b") == [("gone", "b")]
    assert table.picking.cursor == "c"
    table.drop("c")
    assert table.picking.cursor == "a"
    table.drop("a")
    assert table.picking.cursor == ""
    table.put("d")
    assert table.picking.cursor == "d"


def test_marks_stay_with_their_keys_and_the_answer_is_in_the_tables_order():
    table = Table("a", "b", "c")
    for key in "ca":
        table.picking.toggle(key)
    table.rows = [row("x"), *reversed(table.rows)]
    table.look()
    assert table.picking.take() == ("c", "a")
    table.picking.toggle("c")
    assert table.picking.take() == ("a",)


def test_a_marked_row_that_goes_is_unmarked_said_and_not_marked_again_when_it_is_back():
    table = Table("a")
    table.put("b", picked=True)
    assert table.picking.picked == ("b",)
    assert table.drop("b") == [("lost", "b")]
    assert table.picking.picked == ()
    assert table.put("b", picked=True) == [("back", "b")]
    assert table.picking.picked == ()


def test_a_marked_row_that_is_closed_is_unmarked_and_can_be_marked_when_it_is_open_again():
    table = Table("a", "b")
    table.picking.toggle("a")
    assert table.put("a", closed="it is away") == [("lost", "a")]
    assert table.picking.picked == ()
    assert not table.picking.toggle("a")
    assert table.picking.reason == "name-a cannot be picked: it is away"
    assert table.put("b", closed="too old") == [("closed", "b")]
    assert table.put("a") == [("open", "a")]
    assert table.picking.toggle("a")


def test_rows_that_come_picked_are_only_as_far_as_they_are_open_and_the_limits_go():
    rows = [row("a", picked=True, closed="no"), row("b", picked=True), row("c", picked=True)]
    picking = Picking(Pick(question="?", columns=("N",), rows=lambda: rows, most=1))
    assert picking.picked == ("b",)
    assert picking.cursor == "b"


def test_a_change_of_cells_is_news_and_nothing_is_news_twice():
    table = Table("a")
    assert table.put("a", cells=("name-a", "away")) == [("changed", "a")]
    assert table.look() == []


def test_typing_narrows_over_all_cells_in_any_case_and_the_cursor_stays_on_what_is_shown():
    table = Table("a", "b", "c")
    table.put("b", cells=("name-b", "Upstairs"))
    picking = table.picking
    picking.narrow("UPST")
    assert [one.key for one in picking.shown] == ["b"]
    assert picking.cursor == "b"
    picking.narrow("nowhere")
    assert (picking.shown, picking.cursor) == ((), "")
    picking.narrow("")
    assert len(picking.shown) == 3


def test_all_and_none_are_about_what_is_shown_and_marks_outside_the_filter_stay():
    table = Table("a", "b", "c")
    table.put("c", closed="no")
    picking = table.picking
    picking.toggle("a")
    picking.narrow("name-b")
    picking.all()
    picking.narrow("")
    assert picking.picked == ("a", "b")
    picking.narrow("name-a")
    picking.none()
    assert picking.picked == ("b",)
    picking.narrow("")
    picking.all()
    assert (picking.picked, picking.reason) == (("a", "b"), "")


def test_where_one_of_a_group_can_be_picked_the_mark_moves():
    rows = [row("a1", group="a"), row("a2", group="a"), row("b1", group="b"), row("c1", group="c")]
    picking = Picking(Pick(question="?", columns=("N",), rows=lambda: rows, per_group=1))
    picking.all()
    assert picking.picked == ("a1", "b1", "c1")
    assert picking.reason == "not all: at most 1 of a can be picked"
    assert picking.toggle("a2")
    assert picking.picked == ("a2", "b1", "c1")
    assert picking.reason == "instead of name-a1"


def test_where_more_of_a_group_can_be_picked_one_too_many_is_refused():
    rows = [row(f"a{number}", group="a") for number in range(3)]
    picking = Picking(Pick(question="?", columns=("N",), rows=lambda: rows, per_group=2))
    assert [picking.toggle(one.key) for one in rows] == [True, True, False]
    assert picking.reason == "at most 2 of a can be picked"
    assert picking.picked == ("a0", "a1")


def test_rows_without_a_group_do_not_count_together():
    table = Table("a", "b", per_group=1)
    table.picking.all()
    assert table.picking.picked == ("a", "b")


def test_a_mark_that_cannot_move_stays():
    table = Table("a", "b", most=1)
    table.picking.toggle("a")
    table.put("b", closed="no")
    assert not table.picking.toggle("b")
    assert table.picking.picked == ("a",)


def test_no_more_and_no_fewer_than_the_limits_are_taken():
    table = Table("a", "b", "c", least=2, most=2)
    picking = table.picking
    assert picking.take() is None
    assert picking.reason == "at least 2 must be picked"
    picking.all()
    assert picking.reason == "not all: at most 2 can be picked"
    assert not picking.toggle("c")
    assert picking.reason == "at most 2 can be picked"
    assert picking.take() == ("a", "b")


def test_nothing_is_an_answer_where_none_is_needed():
    assert Table("a").picking.take() == ()
    assert Table().picking.take() == ()


def test_what_does_not_fit_together_is_not_taken_and_says_why():
    table = Table("a", "b", check=lambda keys: "b is needed" if "b" not in keys else "")
    table.picking.toggle("a")
    assert table.picking.take() is None
    assert table.picking.reason == "b is needed"
    table.picking.toggle("b")
    assert table.picking.take() == ("a", "b")


def test_of_one_to_be_taken_it_is_the_cursors_row_unless_that_is_closed_or_does_not_fit():
    table = Table("a", "b", "c", least=1, most=1, check=lambda keys: "never c" if "c" in keys else "")
    picking = table.picking
    picking.move(1)
    assert picking.take() == ("b",)
    picking.move(1)
    assert picking.take() is None
    assert picking.reason == "never c"
    table.put("a", closed="it is away")
    picking.move(-9)
    assert picking.take() is None
    assert picking.reason == "it is away"


@pytest.mark.parametrize(("keys", "filter_"), [("", ""), ("a", "nothing has this")])
def test_of_nothing_none_can_be_taken(keys, filter_):
    picking = Table(*keys, least=1, most=1).picking
    picking.narrow(filter_)
    assert picking.take() is None
    assert picking.reason


def test_rows_of_one_name_are_told_apart_by_the_next_cell():
    rows = [
        Row(key="1", cells=("n1", "sda")),
        Row(key="2", cells=("n1", "sdb")),
        Row(key="3", cells=("n2", "sda")),
    ]
    picking = Picking(Pick(question="?", columns=("M", "D"), rows=lambda: rows))
    assert [picking.title(key) for key in "123"] == ["n1 sda", "n1 sdb", "n2"]


def test_what_is_of_a_machine_is_not_called_by_the_machines_name_alone():
    rows = [Row(key="1", cells=("n1", "sda", "ext4"), group="n1")]
    picking = Picking(Pick(question="Wipe?", columns=("M", "D", "H"), rows=lambda: rows))
    assert picking.title("1") == "n1 sda"
