"""Scripted: a person whose answers are known beforehand, as operator and at the prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.forms.answering import NONE, NONE_HINT
from mcloud.forms.interview import DOUBTS
from mcloud.model import Check
from mcloud.prompting import Pick, Row
from mcloud.session.protocol import OutlookLine

MOST_TIMES = 20
"""How often the same question is answered with its default: of many machines, not for ever."""


@dataclass
class Scripted:
    """Answers questions in the order given, confirms or not, and remembers what was shown."""

    answers: Sequence[str] | Mapping[str, str] = ()
    """One after another, or by prompt; "" takes the default, for a table what is picked beforehand.

    Rows of a table are named by their keys, `none` picks none. Another question is an AssertionError.
    """
    easy: bool = False
    """Take the default of every question that there is no answer to."""
    confirms: bool = True
    asked: list[str] = field(default_factory=list)
    picks: dict[str, Sequence[Row]] = field(default_factory=dict)
    """The rows of each table as they were last shown, by question."""
    defaults: dict[str, str] = field(default_factory=dict)
    """By prompt, as last shown."""
    headings: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    machines: list[tuple[str, str]] = field(default_factory=list)
    """Name and state, at each change."""
    codes: list[SecretStr] = field(default_factory=list)
    plans: dict[str, Sequence[OutlookLine]] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    destroys: Sequence[str] | None = None
    """What was to be confirmed; None if nobody asked."""

    def heading(self, text: str) -> None:
        """Remember what the next questions are about."""
        self.headings.append(text)

    def ask(
        self,
        prompt: str,
        *,
        default: str = "",
        choices: Sequence[str] = (),  # noqa: ARG002 - Prompter's, as the next two are
        secret: bool = False,  # noqa: ARG002
        otherwise: str = "",  # noqa: ARG002
    ) -> str:
        """Give the next answer."""
        prompt = prompt.removesuffix(NONE_HINT)
        self.defaults[prompt] = default
        return self._next(prompt)

    def agree(self, question: str, *, default: bool, otherwise: str = "") -> bool:  # noqa: ARG002
        """Say yes or no as the script says; "" takes the default."""
        answer = self._next(question)
        return answer == "yes" if answer else default

    def pick(self, pick: Pick) -> tuple[str, ...]:
        """Pick the rows whose keys the script names, separated by blanks."""
        rows = {row.key: row for row in pick.rows()}
        self.picks[pick.question] = tuple(rows.values())
        said = self._next(pick.question)
        beforehand = [key for key, row in rows.items() if row.picked and not row.closed]
        keys = [] if said == NONE else said.split() or beforehand
        assert set(keys) <= set(rows), f"{pick.question}: of {keys} there are {sorted(rows)}"
        closed = [f"{key}: {rows[key].closed}" for key in keys if rows[key].closed]
        assert not closed, f"{pick.question}: {closed}"
        reason = pick.check(keys)
        assert not reason, f"{pick.question}: {reason}"
        return tuple(key for key in rows if key in keys)

    def _next(self, prompt: str) -> str:
        self.asked.append(prompt)
        if isinstance(self.answers, Mapping):
            if prompt in self.answers and self.asked.count(prompt) == 1:
                return self.answers[prompt]
        elif len(self.asked) <= len(self.answers):
            return self.answers[len(self.asked) - 1]
        if self.easy and self.asked.count(prompt) <= MOST_TIMES:
            return "no" if prompt in DOUBTS else ""
        raise AssertionError(
            f"nobody has an answer to {prompt!r}: {'; '.join(dict.fromkeys(self.complaints))}"
        )

    def complain(self, reason: str) -> None:
        """Remember why an answer was not taken."""
        self.complaints.append(reason)

    def notice(self, text: str) -> None:
        """Remember one line about the session."""
        self.notices.append(text)

    def machine(self, name: str, state: str) -> None:
        """Remember where a joiner was."""
        self.machines.append((name, state))

    def show_code(self, code: SecretStr, *, renewed: bool) -> None:
        """Remember the code."""
        self.codes.append(code)
        if renewed:
            self.notices.append("the code was renewed")

    def show_plans(self, plans: Mapping[str, Sequence[OutlookLine]], checks: Sequence[Check]) -> None:
        """Remember all plans."""
        self.plans = dict(plans)
        self.checks = checks

    def confirm(self, destroys: Sequence[str]) -> bool:
        """Answer as the script says."""
        self.destroys = tuple(destroys)
        return self.confirms
