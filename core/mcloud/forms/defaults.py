"""Defaults: nobody is asked, every question gets its default; one that has none is an error that names it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from mcloud.errors import SettingsError
from mcloud.forms.interview import DOUBTS
from mcloud.prompting import Pick


@dataclass
class Defaults:
    """A `Prompter` for where nobody can be asked and the operator wants what is usual."""

    _last: str = ""
    _otherwise: str = ""

    def heading(self, text: str) -> None:
        """Say nothing."""

    def ask(
        self,
        prompt: str,
        *,
        default: str = "",  # noqa: ARG002 - Prompter's, as the next two are
        choices: Sequence[str] = (),  # noqa: ARG002
        secret: bool = False,  # noqa: ARG002
        otherwise: str = "",
    ) -> str:
        """Return "", which takes the default."""
        self._last, self._otherwise = prompt, otherwise
        return ""

    def agree(self, question: str, *, default: bool, otherwise: str = "") -> bool:
        """Return the default; what is doubtful is not changed."""
        self._last, self._otherwise = question, otherwise
        return default and question not in DOUBTS

    def pick(self, pick: Pick) -> tuple[str, ...]:
        """Return what is picked beforehand."""
        self._last, self._otherwise = pick.question, pick.otherwise
        keys = tuple(row.key for row in pick.rows() if row.picked and not row.closed)
        reason = pick.check(keys)
        if not reason and len(keys) < pick.least:
            reason = f"{pick.least} at least have to be picked"
        if reason:
            self.complain(reason)
        return keys

    def complain(self, reason: str) -> None:
        """Raise SettingsError: a default that is not taken will not be taken the next time either."""
        if self._last:
            self._refuse(reason)

    def _refuse(self, reason: str) -> NoReturn:
        raise SettingsError(
            f"no default fits: {self._last.rstrip('?')}: {reason}",
            hint=f"give {self._otherwise}" if self._otherwise else "answer at a terminal, or give a file",
        )
