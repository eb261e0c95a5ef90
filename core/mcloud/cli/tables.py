"""Tables that services draw, made to fit: first without lines and empty columns, then row by row."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

GAP = "  "


def narrowed(text: str, width: int | None) -> str:
    """Return what a command printed, its tables made narrower where the terminal is; None is any width.

    A table is what `lxc` draws: cells between `|`, a row of `+---+` before, between and after rows.
    """
    lines = text.split("\n")
    if width is None or all(cell_len(line) < width for line in lines):
        return text
    found: list[str] = []
    table: list[str] = []
    for line in [*lines, ""]:
        if line.startswith(("+-", "|")):
            table.append(line)
            continue
        found += _fitted(table, width)
        table = []
        found.append(line)
    return "\n".join(found[:-1])


def _fitted(table: Sequence[str], width: int) -> list[str]:
    if all(cell_len(line) < width for line in table):
        return list(table)
    rows = list(_rows(table))
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:  # noqa: PLR2004 - heads and a row
        return list(table)
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    wide = [max(map(cell_len, column)) for column in columns]
    if sum(wide) + len(GAP) * len(wide) < width:
        return [
            GAP.join(
                text + " " * (room - cell_len(text)) for text, room in zip(row, wide, strict=True)
            ).rstrip()
            for row in zip(*columns, strict=True)
        ]
    heads, *others = zip(*columns, strict=True)
    return [line for row in others for line in _record(heads, row, width)]


def _record(heads: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """Return one row as its first cell, and all others with their heads."""
    said = ", ".join(f"{head} {cell}" for head, cell in zip(heads[1:], row[1:], strict=True) if cell)
    return textwrap.wrap(
        f"{row[0]}: {said}",
        width - 1,
        subsequent_indent=GAP,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rows(table: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the cells row by row; what stands on several lines of one cell is one text."""
    parts: list[list[str]] = []
    for line in table:
        if line.startswith("+-"):
            if parts:
                yield tuple(" ".join(filter(None, cell)) for cell in zip(*parts, strict=False))
            parts = []
        else:
            parts.append([cell.strip() for cell in line.strip().strip("|").split("|")])
