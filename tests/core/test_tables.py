"""Tables of services on terminals that are too narrow for them."""

from mcloud.cli.tables import narrowed

TABLE = """\
+------+-------------------------+-----------------+-------------+--------+
| NAME |           URL           |      ROLES      | DESCRIPTION | STATE  |
+------+-------------------------+-----------------+-------------+--------+
| n1   | https://10.10.0.11:8443 | database-leader |             | ONLINE |
|      |                         | database        |             |        |
+------+-------------------------+-----------------+-------------+--------+
| n2   | https://10.10.0.12:8443 | database        |             | ONLINE |
+------+-------------------------+-----------------+-------------+--------+"""


def test_what_fits_and_what_goes_into_a_pipe_is_left_as_it_is():
    assert narrowed(TABLE, 80) == TABLE
    assert narrowed(TABLE, None) == TABLE
    assert narrowed("x" * 200, 80) == "x" * 200


def test_first_lines_and_empty_columns_go_and_cells_of_several_lines_are_one():
    assert narrowed(f"before\n{TABLE}\nafter", 68).split("\n") == [
        "before",
        "NAME  URL                      ROLES                     STATE",
        "n1    https://10.10.0.11:8443  database-leader database  ONLINE",
        "n2    https://10.10.0.12:8443  database                  ONLINE",
        "after",
    ]


def test_then_each_row_is_said_with_the_heads_of_its_cells():
    assert narrowed(TABLE, 60).split("\n") == [
        "n1: URL https://10.10.0.11:8443, ROLES database-leader",
        "  database, STATE ONLINE",
        "n2: URL https://10.10.0.12:8443, ROLES database, STATE",
        "  ONLINE",
    ]


def test_what_only_looks_like_a_table_is_left_as_it_is():
    for text in ("+-" + "-" * 90, "| a | b |" + "x" * 90, "+---+\n| a | b |\n+---+\n| c |" + "x" * 90):
        assert narrowed(text, 80) == text
