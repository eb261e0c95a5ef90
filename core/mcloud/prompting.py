"""How a person is asked: `Prompter` puts the questions, a `Pick` is one that is answered out of a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table to pick from."""

    key: str
    """What is returned if it is picked; a row of the same key is the same row after a change."""
    cells: tuple[str, ...]
    """One text a column; plain, made printable where others said it."""
    group: str = ""
    """What counts together for `Pick.per_group`: the machine."""
    picked: bool = False
    """Picked when it first appears."""
    closed: str = ""
    """Why it cannot be picked; "" if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A question that is answered by picking rows of a table; with the keyboard, or by numbers."""

    question: str
    columns: tuple[str, ...]
    rows: Callable[[], Sequence[Row]]
    """The rows of this moment, asked again while the table is open: rows come, change and go."""
    least: int = 0
    most: int | None = None
    """How many rows at least and at most; None: any number."""
    per_group: int | None = None
    """How many of one group at most; None: any number."""
    check: Callable[[Sequence[str]], str] = lambda _keys: ""
    """Why these keys do not fit, "" if they do; the table stays open and shows it."""
    otherwise: str = ""
    """How to say it where there is no terminal: the option, or the key of the file."""


class Prompter(Protocol):
    """Whom questions are put to: a terminal, or answers from a script.

    Every question waits for the answer. Without a terminal each raises SettingsError, which names
    the question and `otherwise`; the end of the input is `click.Abort`.
    """

    def heading(self, text: str) -> None:
        """Say what the next questions are about."""
        ...

    def ask(
        self,
        prompt: str,
        *,
        default: str = "",
        choices: Sequence[str] = (),
        secret: bool = False,
        otherwise: str = "",
    ) -> str:
        """Return what was typed; "" takes the default. What is typed for a secret is not shown."""
        ...

    def agree(self, question: str, *, default: bool, otherwise: str = "") -> bool:
        """Return whether the person says yes."""
        ...

    def pick(self, pick: Pick) -> tuple[str, ...]:
        """Return the keys of the rows that were picked, in the table's order."""
        ...

    def complain(self, reason: str) -> None:
        """Say why the last answer was not taken; the question is asked again."""
        ...
