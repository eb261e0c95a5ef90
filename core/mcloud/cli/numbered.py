"""Picking by numbers: nothing is redrawn; for screen readers, simple terminals, and recordings."""

import re
from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len

from mcloud.cli.output import Output
from mcloud.cli.picking import Picking
from mcloud.cli.picktable import GAP, columns_of, reason_of, row_mark
from mcloud.cli.typed import read_line
from mcloud.prompting import Pick, Row

REREAD = 0.25
"""Seconds between two looks at the rows."""
PROMPT = "Numbers, all, none, a word to search, ? for the list, Enter to take: "
AGAIN = "> "
PROMPT_SINGLE = "A number, a word to search, ? for the list: "
_NUMBERS = re.compile(r"[0-9]{1,6}(-[0-9]{1,6})?([ ,]+[0-9]{1,6}(-[0-9]{1,6})?)*")

Read = Callable[[float], str | None]


def pick_numbered(pick: Pick, output: Output, read: Read = read_line) -> tuple[tuple[str, ...], list[str]]:
    """Let a person pick; return the keys and what their rows are called. Raises Abort at the end of input."""
    numbered = _Numbered(pick, output)
    output.line(f"\n{pick.question}", "bold")
    numbered.show(numbered.state.rows)
    try:
        # Said once: who listens to a screen hears every line of it.
        output.pose(PROMPT_SINGLE if numbered.state.single else PROMPT, again=AGAIN)
        while True:
            line = read(REREAD)
            if line is None:
                numbered.look_again()
                continue
            output.answered()
            taken = numbered.heard(line)
            if taken is not None:
                return taken, [numbered.state.title(key) for key in taken]
            output.pose(AGAIN)
    finally:
        output.answered(ended=False)


class _Numbered:
    """The rows with their numbers: each has its own for good, whatever comes and goes."""

    def __init__(self, pick: Pick, output: Output) -> None:
        self.state = Picking(pick)
        self._output = output
        self._numbers: dict[str, int] = {}
        self._number()

    def look_again(self) -> None:
        """Say of all rows that came, changed or went: one line each."""
        news = self.state.reread()
        self._number()
        rows = {row.key: row for row in self.state.rows}
        for said in news:
            if said.what in {"new", "back", "changed"}:
                what = "has changed" if said.what == "changed" else f"is {said.what}"
                self._output.line(f"{self._numbers[said.key]} {what}: {self._spoken(rows[said.key])}")
            else:
                self._output.line(f"{self._numbers[said.key]}: {said.text}.")

    def show(self, rows: Sequence[Row]) -> None:
        """Print rows with their numbers and marks, below the heads of the columns."""
        if not rows:
            self._output.line("Nothing to pick from yet; what comes is said.")
            return
        for line in self._lines(rows):
            self._output.line(line)

    def heard(self, line: str) -> tuple[str, ...] | None:
        """Do what was typed; return the answer if it was to take what is picked, and that fits."""
        self.look_again()
        word = line.casefold()
        if not line and self.state.single and not any(row.picked for row in self.state.rows):
            self._output.line("Type the number of a row.")
            return None
        if not line:
            return self._take()
        if word in {"?", "help"}:
            self.show(self.state.rows)
        elif _NUMBERS.fullmatch(line):
            return self._by_number(line)
        elif word in {"all", "none"} and not self.state.single:
            self.state.narrow("")
            self.state.all() if word == "all" else self.state.none()
            self._say_picked()
        else:
            self.state.narrow(line)
            found = self.state.shown
            self.state.narrow("")
            self.show(found) if found else self._output.line(f'Nothing has "{line}" in it.')
        return None

    def _by_number(self, line: str) -> tuple[str, ...] | None:
        wanted = list(dict.fromkeys(_numbers(line)))
        rows = {number: key for key, number in self._numbers.items() if key in self._keys()}
        unknown = [str(number) for number in wanted if number not in rows]
        if unknown:
            self._output.line(f"There is no {', '.join(unknown[:5])}; ? lists what there is.")
            return None
        if self.state.single:
            if len(wanted) > 1:
                self._output.line("Only one can be picked.")
                return None
            self.state.cursor = rows[wanted[0]]
            return self._take()
        for number in wanted:
            self.state.toggle(rows[number])
            self._say_reason()
        self._say_picked()
        return None

    def _take(self) -> tuple[str, ...] | None:
        taken = self.state.take()
        self._say_reason()
        return taken

    def _say_reason(self) -> None:
        if self.state.reason:
            self._output.line(f"{self.state.reason}.")
            self.state.reason = ""

    def _say_picked(self) -> None:
        self._say_reason()
        titles = [f"{self._numbers[key]} {self.state.title(key)}" for key in self.state.picked]
        count = f"{len(titles)} of {len(self.state.rows)} picked"
        self._output.line(f"{count}: {', '.join(titles)}" if titles else count)

    def _lines(self, rows: Sequence[Row]) -> list[str]:
        """Return the table's lines; where they are too wide, cells stand one after another, to be wrapped."""
        heads, cells = columns_of(self.state, rows)
        if any(row.closed for row in rows):
            heads, cells = (
                [*heads, ""],
                [[*texts, reason_of(row)] for row, texts in zip(rows, cells, strict=True)],
            )
        columns = list(zip(heads, *cells, strict=True))
        wide = [max(map(cell_len, column)) for column in columns]
        fits = sum(wide) + len(GAP) * len(wide) + 9 < self._output.size[0]

        def joined(texts: Sequence[str]) -> str:
            padded = [text + " " * (width - cell_len(text)) for text, width in zip(texts, wide, strict=True)]
            return GAP.join(padded).rstrip() if fits else ", ".join(text for text in texts if text)

        marks = [f"{mark} " if (mark := row_mark(self.state, row)) else "" for row in rows]
        lines = [f"     {' ' * len(marks[0])}{joined(heads)}"]
        for row, mark, texts in zip(rows, marks, cells, strict=True):
            lines.append(f"{self._numbers[row.key]:3}  {mark}{joined(texts)}")
        return lines

    def _spoken(self, row: Row) -> str:
        _heads, (cells,) = columns_of(self.state, [row])
        return ", ".join(cell for cell in (*cells, reason_of(row)) if cell)

    def _number(self) -> None:
        for row in self.state.rows:
            self._numbers.setdefault(row.key, len(self._numbers) + 1)

    def _keys(self) -> set[str]:
        return {row.key for row in self.state.rows}


def _numbers(line: str) -> Iterator[int]:
    for part in re.split(r"[ ,]+", line):
        first, _, last = part.partition("-")
        yield from range(int(first), min(int(last or first), int(first) + 9999) + 1)
