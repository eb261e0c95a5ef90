"""The picker as lines: cut to the terminal by what matters least, scrolled, and plain without colour."""

import pytest
from rich.cells import cell_len

from mcloud.cli.picking import Picking
from mcloud.cli.picktable import table_lines, widths
from mcloud.prompting import Pick, Row

MARK = "7f3a 09bc 55d1 e2f4 7f3a 09bc"


def picking(rows, **options):
    columns = ("NAME", "ADDRESS", "FINGERPRINT", "BRINGS")
    return Picking(Pick(question="Which machines?", columns=columns, rows=lambda: rows, **options))


def machines(count, name="n{}", **fields):
    return [
        Row(key=str(n), cells=(name.format(n), f"10.10.0.{n}", MARK, "3 disks of 4 TB"), **fields)
        for n in range(1, count + 1)
    ]


def lines(state, *, width=80, height=24, news=()):
    return [text for _style, text in table_lines(state, news, width=width, height=height)]


def test_a_table_that_fits_is_not_cut_and_marks_are_words_of_their_own():
    rows = machines(3)
    rows[2] = Row(key="3", cells=rows[2].cells, closed="ceph is missing")
    state = picking(rows[:2])
    state.toggle("2")
    assert lines(state) == [
        "Which machines?",
        "      NAME  ADDRESS    FINGERPRINT                    BRINGS",
        f"> [ ] n1    10.10.0.1  {MARK}  3 disks of 4 TB",
        f"  [x] n2    10.10.0.2  {MARK}  3 disks of 4 TB",
        "",
        "1 of 2 picked",
        "space picks, right all, left none, type to search, Enter takes",
    ]
    assert any(line.startswith("  [-] n3") and "(ceph" in line for line in lines(picking(rows)))


@pytest.mark.parametrize("width", [20, 40, 80, 132])
@pytest.mark.parametrize("height", [3, 6, 10, 24, 60])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_lines_are_never_wider_nor_more_than_the_terminal_has(width, height, count):
    rows = [
        *machines(count, "machine-with-a-long-name-{}"),
        *machines(1, "界" * 30, closed="a long reason " * 9),
    ]
    state = picking({row.key: row for row in rows}.values())
    state.reason = "a reason that is long, " * 8
    for _ in range(3):
        state.move(count // 2)
        shown = lines(state, width=width, height=height)
        assert max(map(cell_len, shown)) < width
        assert len(shown) <= max(height - 1, 4)
        assert any(line.startswith("> ") for line in shown)


def test_what_matters_least_is_cut_first_and_said_in_whole_for_the_cursors_row():
    state = picking(machines(2, "a-machine-with-a-name-of-36-letters-{}"))
    shown = lines(state)
    row = shown[2]
    assert row.startswith("> [ ] a-machine-with-a-name-of-36-letters-1  10.10.0.1")
    assert row.endswith("…")
    assert "FINGERPRINT " + MARK in " ".join(shown)
    assert "BRINGS 3 disks of 4 TB" in " ".join(" ".join(shown).split())


@pytest.mark.parametrize(
    ("room", "expected"),
    [(60, [20, 10, 10]), (40, [20, 10, 6]), (36, [20, 6, 6]), (28, [12, 6, 6]), (20, [12, 6]), (8, [8])],
)
def test_columns_give_way_from_the_last_to_the_first(room, expected):
    assert widths([["x" * 20], ["y" * 10], ["z" * 10]], [12, 6, 6], room) == expected


def test_a_long_table_scrolls_and_says_where_it_is():
    state = picking(machines(50))
    top = lines(state)
    assert "0 of 50 picked, rows 1-17 of 50" in top
    state.move(30)
    shown = lines(state)
    assert any(line.startswith("> [ ] n31 ") for line in shown)
    assert len(shown) == len(top)
    state.move(99)
    assert any(line.endswith("rows 34-50 of 50") for line in lines(state))


def test_a_search_is_shown_with_what_it_leaves():
    state = picking(machines(12))
    state.narrow("n1")
    assert 'search "n1" (Esc ends): 4 shown, 0 of 12 picked' in lines(state)
    state.narrow("zebra")
    assert '  nothing has "zebra" in it' in lines(state)


def test_before_anything_comes_it_says_so():
    assert "  nothing yet" in lines(picking([]))


def test_a_reason_goes_before_news_and_what_others_say_cannot_move_the_cursor():
    state = picking([Row(key="1", cells=("n\x1b[2J1", "a\nb", "", ""))])
    assert "n2 is new; n3 is gone" in lines(state, news=["n2 is new", "n3 is gone"])
    state.reason = "at least one must be picked"
    shown = lines(state, news=["n2 is new"])
    assert "at least one must be picked" in shown
    assert not any("n2" in line for line in shown)
    assert all(line.isprintable() for line in shown)


def test_of_one_to_be_taken_there_are_no_boxes():
    state = picking(machines(2), least=1, most=1)
    shown = lines(state)
    assert shown[2].startswith("> n1 ")
    assert shown[-2:] == ["2 to pick from", "up/down, type to search, Enter takes the row at >"]


def test_the_reason_of_a_closed_row_takes_the_place_of_cells_and_never_of_other_rows():
    rows = [*machines(1), Row(key="2", cells=machines(2)[1].cells, closed="refused: ceph 17.2 and not 16.2")]
    assert lines(picking(rows))[2:4] == [
        f"> [ ] n1    10.10.0.1  {MARK}  3 disks of 4 TB",
        "  [-] n2    10.10.0.2  (refused: ceph 17.2 and not 16.2)",
    ]
    state = picking(rows)
    state.move(1)
    assert lines(state)[4].strip() == f"FINGERPRINT {MARK}; BRINGS 3 disks of 4 TB"
    rows[1] = Row(key="2", cells=("n2", "", "", ""), closed="on its way")
    assert lines(picking(rows))[3].split() == ["[-]", "n2", "(on", "its", "way)"]
