"""The state of a table to pick from: cursor, filter and marks over rows that come, change and go."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcloud.cli.lines import clean
from mcloud.prompting import Pick, Row


@dataclass(frozen=True, slots=True)
class News:
    """What became of one row since the last look."""

    what: Literal["new", "back", "gone", "lost", "closed", "open", "changed"]
    """"lost" is one that was picked and went or was closed."""
    key: str
    text: str


class Picking:
    """One `Pick` while a person is at it. Every change that is refused says why in `reason`."""

    def __init__(self, pick: Pick) -> None:
        """Begin with the rows of this moment; those that come picked are, as far as the limits go."""
        self.pick = pick
        self.rows: tuple[Row, ...] = ()
        self.marks: set[str] = set()
        """The keys of the rows that are picked."""
        self.cursor = ""
        """The key of the row the cursor is on, "" if none is shown."""
        self.filter = ""
        self.reason = ""
        """Why the last thing was not done, or what it did beyond what was asked for; "" if all is well."""
        self._seen: set[str] = set()
        self.reread()
        self.cursor = next((row.key for row in self.shown if row.picked and not row.closed), self.cursor)

    # ---- what can be seen -----------------------------------------------------------------------------

    @property
    def single(self) -> bool:
        """Whether exactly one row is wanted: marks are not needed, the cursor's row is the answer."""
        return self.pick.least == self.pick.most == 1

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows that the filter leaves."""
        wanted = self.filter.casefold().strip()
        return tuple(row for row in self.rows if wanted in " ".join(row.cells).casefold())

    @property
    def place(self) -> int:
        """Where the cursor is among the rows shown; 0 if there are none."""
        keys = [row.key for row in self.shown]
        return keys.index(self.cursor) if self.cursor in keys else 0

    @property
    def picked(self) -> tuple[str, ...]:
        """The keys that are picked, in the table's order."""
        return tuple(row.key for row in self.rows if row.key in self.marks)

    def title(self, key: str) -> str:
        """Return what a row is called: its first cell, and the second where the first is not its own name."""
        row = self._row(key)
        alike = sum(other.cells[:1] == row.cells[:1] for other in self.rows)
        its_own = alike == 1 and row.cells[:1] != (row.group,)
        return clean(" ".join(row.cells[: 1 if its_own else 2]))

    # ---- rows come, change and go ---------------------------------------------------------------------

    def reread(self) -> list[News]:
        """Read the rows anew; cursor and marks stay with their keys. Return what is to be told of it."""
        rows = tuple(self.pick.rows())
        if rows == self.rows:
            return []
        place, old, now = self.place, {row.key: row for row in self.rows}, {row.key for row in rows}
        gone = {key: self.title(key) for key in old if key not in now}
        self.rows = rows
        news = [self._gone(key, title) for key, title in gone.items()]
        for row in self.rows:
            news += self._looked_at(row, old.get(row.key))
        self._hold(place)
        return news

    def _gone(self, key: str, title: str) -> News:
        if key not in self.marks:
            return News("gone", key, f"{title} is gone")
        self.marks.discard(key)
        return News("lost", key, f"{title} is gone and no longer picked")

    def _looked_at(self, row: Row, before: Row | None) -> list[News]:
        why, fresh = clean(row.closed), row.key not in self._seen
        self._seen.add(row.key)
        if row.picked and fresh and not self.single and not self._refusal(row):
            self.marks.add(row.key)
        if before == row and not (row.closed and row.key in self.marks):
            return []
        title = self.title(row.key)
        if row.closed and row.key in self.marks:
            self.marks.discard(row.key)
            return [News("lost", row.key, f"{title} is no longer picked: {why}")]
        if before is None:
            return [News("new" if fresh else "back", row.key, f"{title} is {'new' if fresh else 'back'}")]
        if row.closed != before.closed:
            text = f"{title} cannot be picked: {why}" if why else f"{title} can be picked now"
            return [News("closed" if why else "open", row.key, text)]
        return [News("changed", row.key, f"{title} has changed")]

    # ---- what a person does ---------------------------------------------------------------------------

    def move(self, by: int) -> None:
        """Move the cursor by so many rows, at most to the ends."""
        self.reason = ""
        self._hold(self.place + by, anew=True)

    def narrow(self, text: str) -> None:
        """Show only rows with this text in a cell."""
        self.reason, place = "", self.place
        self.filter = clean(text).replace("\n", " ")
        self._hold(place)

    def toggle(self, key: str) -> bool:
        """Mark a row, or take its mark away; return whether that was done.

        Where the limit is one, of the group or of all, the mark moves from the row that had it.
        """
        self.reason = ""
        row = self._row(key)
        if key in self.marks:
            self.marks.discard(key)
            return True
        instead = self._instead(row)
        self.marks -= instead
        self.reason = self._refusal(row)
        if self.reason:
            self.marks |= instead
            return False
        self.marks.add(key)
        if instead:
            self.reason = f"instead of {', '.join(self.title(other) for other in sorted(instead))}"
        return True

    def all(self) -> None:
        """Mark all rows that are shown, as far as they are open and the limits go."""
        refused = []
        for row in self.shown:
            if row.key not in self.marks and not row.closed:
                reason = self._refusal(row)
                refused += [reason] if reason else []
                self.marks |= set() if reason else {row.key}
        self.reason = f"not all: {refused[0]}" if refused else ""

    def none(self) -> None:
        """Take the marks of all rows that are shown away."""
        self.reason = ""
        self.marks -= {row.key for row in self.shown}

    def take(self) -> tuple[str, ...] | None:
        """Return the answer, in the table's order; None if it does not fit, `reason` says why."""
        self.reason = ""
        if self.single:
            return self._take_one()
        picked = self.picked
        if len(picked) < self.pick.least:
            least = "one" if self.pick.least == 1 else str(self.pick.least)
            self.reason = f"at least {least} must be picked" + (f", not {len(picked)}" if picked else "")
        else:
            self.reason = clean(self.pick.check(picked))
        return None if self.reason else picked

    def _take_one(self) -> tuple[str, ...] | None:
        if not self.shown:
            self.reason = "there is nothing to pick yet" if not self.rows else "nothing is shown to pick"
            return None
        row = self._row(self.cursor)
        self.reason = clean(row.closed) or clean(self.pick.check((row.key,)))
        self.marks = set() if self.reason else {row.key}
        return None if self.reason else (row.key,)

    # ---- limits ---------------------------------------------------------------------------------------

    def _instead(self, row: Row) -> set[str]:
        """Return the keys whose mark moves to this row."""
        if self.pick.most == 1:
            return set(self.marks)
        if self.pick.per_group == 1 and row.group:
            return {other.key for other in self.rows if other.group == row.group} & self.marks
        return set()

    def _refusal(self, row: Row) -> str:
        """Return why a row cannot be marked besides those that are, "" if it can."""
        if row.closed:
            return f"{self.title(row.key)} cannot be picked: {clean(row.closed)}"
        if self.pick.most is not None and len(self.marks) >= self.pick.most:
            return f"at most {self.pick.most} can be picked"
        groups = Counter(other.group for other in self.rows if other.key in self.marks)
        if self.pick.per_group is not None and row.group and groups[row.group] >= self.pick.per_group:
            return f"at most {self.pick.per_group} of {clean(row.group)} can be picked"
        return ""

    def _row(self, key: str) -> Row:
        return next(row for row in self.rows if row.key == key)

    def _hold(self, place: int, *, anew: bool = False) -> None:
        """Keep the cursor on its row; if that is not shown any more, or `anew`, put it at a place."""
        keys: Sequence[str] = [row.key for row in self.shown]
        if anew or self.cursor not in keys:
            self.cursor = keys[min(max(0, place), len(keys) - 1)] if keys else ""
