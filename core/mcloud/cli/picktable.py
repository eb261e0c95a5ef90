"""A table to pick from as lines that fit a terminal: never wrapped, what matters least is cut first."""

import sys
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

from mcloud.cli.lines import clean
from mcloud.cli.picking import Picking
from mcloud.prompting import Row

Line = tuple[str, str]
"""What it is (question, head, row, cursor, marked, closed, detail, reason, foot) and its text."""

GAP = "  "
LEAST_FIRST, LEAST_OTHER = 12, 6
"""Cells that a column keeps while others can still give way: the first, and others."""
LEAST_REASON = 20
"""Cells for the reason of a closed row; cells before it give way."""
TITLE = 2
"""Columns that say what a row is about: machine and disk."""
ROOM_ABOVE = 2
"""Lines of the terminal left to what is said meanwhile."""
ROOMY = 17
"""Lines of a terminal with room for what columns leave out, and for longer reasons."""
KEYS = (
    "space picks, right all, left none, type to search, Enter takes",
    "space pick, Enter take, type: search",
)
KEYS_SINGLE = ("up/down, type to search, Enter takes the row at >", "Enter takes the row at >")


def table_lines(picking: Picking, news: Sequence[str], *, width: int, height: int) -> list[Line]:
    """Return the whole picker as lines, narrower than `width` and fewer than `height`.

    The rows that have no place are scrolled; on a low terminal the keys and the head go first.
    """
    width, room = max(10, width - 1), max(2, height - ROOM_ABOVE)
    question = [("question", line) for line in _fold(clean(picking.pick.question), width)[:2]]
    foot = _foot(picking, width)
    said = [("reason", line) for line in _said(picking, news, width, most=1 if height < ROOMY else 2)]
    head, body, whole = _body(picking, width)
    detail = [] if whole or height < ROOMY else _detail(picking, body, width)
    # One line each for question, count and a row; what is left is for the head, the keys, and rows.
    spare = room - len(said) - len(detail) - 3
    head = head[: max(0, spare)]
    foot = foot[: 2 if spare > len(head) + 1 else 1]
    question = question[: 2 if spare > len(head) + 3 else 1]
    window = max(1, room - len(question) - len(head) - len(detail) - len(said) - len(foot))
    begin = _begin(picking.place, len(body), window)
    more = f"rows {begin + 1}-{min(begin + window, len(body))} of {len(body)}" if len(body) > window else ""
    if more:
        foot[0] = ("foot", _cut(f"{foot[0][1]}, {more}", width))
    return [*question, *head, *body[begin : begin + window], *detail, *said, *foot]


def row_mark(picking: Picking, row: Row) -> str:
    """Return how a row is marked: picked, not picked, cannot be; without colour."""
    if picking.single:
        closed = any(other.closed for other in picking.rows)
        return "[-]" if row.closed else "   " if closed else ""
    return "[-]" if row.closed else "[x]" if row.key in picking.marks else "[ ]"


def widths(columns: Sequence[Sequence[str]], least: Sequence[int], room: int) -> list[int]:
    """Return how wide each column may be: the last give way first, at last those behind do not fit at all."""
    wide = [max(map(cell_len, column), default=0) for column in columns]
    over = sum(wide) + len(GAP) * (len(wide) - 1) - room
    for place in reversed(range(len(wide))):
        give = min(max(0, over), max(0, wide[place] - least[place]))
        wide[place] -= give
        over -= give
    while over > 0 and len(wide) > 1:
        over -= wide.pop() + len(GAP)
    return [*wide[:-1], wide[-1] - max(0, over)]


def columns_of(picking: Picking, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return the heads of all columns, and of each row as many cells."""
    heads = list(picking.pick.columns)
    cells = []
    for row in rows:
        texts = [clean(cell).replace("\n", " ") for cell in row.cells[: len(heads)]]
        cells.append(texts + [""] * (len(heads) - len(texts)))
    return heads, cells


def reason_of(row: Row) -> str:
    """Return why a row is closed, as it stands behind its cells."""
    return f"({clean(row.closed)})".replace("\n", " ") if row.closed else ""


def _body(picking: Picking, width: int) -> tuple[list[Line], list[Line], bool]:
    """Return the head, all rows that the filter leaves, and whether nothing had to be cut."""
    rows = picking.shown
    if not rows:
        text = f'nothing has "{picking.filter}" in it' if picking.filter and picking.rows else "nothing yet"
        return [], [("closed", _cut(f"  {text}", width))], True
    # All rows are measured, not only those shown: columns stay where they are while one types.
    heads, everything = columns_of(picking, picking.rows)
    least = [LEAST_FIRST, *[LEAST_OTHER] * (len(heads) - 1)]
    columns = list(zip(heads, *everything, strict=True))
    before = len(_before(picking, rows[0]))
    wide = widths(columns, least, width - before)
    whole = wide == widths(columns, least, sys.maxsize)
    cells = dict(zip((row.key for row in picking.rows), everything, strict=True))
    lines = [(_style(picking, row), _line(picking, row, cells[row.key], wide, width)) for row in rows]
    whole = whole and all(
        text in line
        for row, (_, line) in zip(rows, lines, strict=True)
        if row.closed
        for text in (*cells[row.key], reason_of(row))
    )
    return [("head", _cells(" " * before, heads, wide))], lines, whole


def _line(picking: Picking, row: Row, cells: Sequence[str], wide: Sequence[int], width: int) -> str:
    """Return a row's line; of a closed one the reason matters more than any cell but what it is about."""
    before, reason, shown = _before(picking, row), reason_of(row), len(wide)
    line = _cells(before, cells, wide)
    if not reason:
        return line
    for kept, room in ((TITLE, cell_len(reason)), (1, min(cell_len(reason), LEAST_REASON))):
        while shown > kept and cell_len(line) + len(GAP) + room > width:
            shown -= 1
            line = _cells(before, cells[:shown], wide[:shown])
    return _cut(f"{line}{GAP}{reason}", width)


def _before(picking: Picking, row: Row) -> str:
    pointer, mark = ">" if row.key == picking.cursor else " ", row_mark(picking, row)
    return f"{pointer} {mark} " if mark else f"{pointer} "


def _cells(before: str, cells: Sequence[str], wide: Sequence[int]) -> str:
    fitted = [set_cell_size(_cut(cell, width), width) for cell, width in zip(cells, wide, strict=False)]
    return (before + GAP.join(fitted)).rstrip()


def _style(picking: Picking, row: Row) -> str:
    if row.key == picking.cursor:
        return "cursor"
    return "closed" if row.closed else "marked" if row.key in picking.marks else "row"


def _detail(picking: Picking, lines: Sequence[Line], width: int) -> list[Line]:
    """Return what the cursor's row says and its line does not show; two lines, so that nothing jumps."""
    rows = [row for row in picking.rows if row.key == picking.cursor]
    heads, cells = columns_of(picking, rows)
    shown = next((text for style, text in lines if style == "cursor"), "")
    said = [(head, cell) for row in cells for head, cell in zip(heads, row, strict=True)]
    said = [("", reason_of(row)) for row in rows] + said
    cut = [f"{head} {cell}".strip() for head, cell in said if cell not in shown]
    text = _fold("; ".join(cut), width - 6)
    text = [*text[:1], _cut(" ".join(text[1:]), width - 6), ""][:2]
    return [("detail", f"      {line}".rstrip()) for line in text]


def _said(picking: Picking, news: Sequence[str], width: int, *, most: int) -> list[str]:
    """Return what is to be told, the reason before the news; at least one line, so that nothing jumps."""
    told = "; ".join([picking.reason] if picking.reason else news)
    lines = _fold(told, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], _cut(" ".join(lines[most - 1 :]), width)]
    return lines or [""]


def _foot(picking: Picking, width: int) -> list[Line]:
    total = len(picking.rows)
    count = f"{total} to pick from" if picking.single else f"{len(picking.marks)} of {total} picked"
    if picking.filter:
        count = f'search "{picking.filter}" (Esc ends): {len(picking.shown)} shown, {count}'
    keys = next(
        (keys for keys in (KEYS_SINGLE if picking.single else KEYS) if cell_len(keys) <= width), "Enter takes"
    )
    return [("foot", _cut(count, width)), ("foot", keys)]


def _begin(place: int, total: int, window: int) -> int:
    """Return the first row in the window, so that the cursor is near its middle."""
    return max(0, min(place - window // 2, total - window))


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else "…"[:width]


def _fold(text: str, width: int) -> list[str]:
    """Wrap between words, by what they take on a terminal; a word that is longer than a line is cut up."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, width)
    return lines
