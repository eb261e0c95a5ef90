"""Scripted: a person whose answers are known beforehand, as operator and at the prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.model import Check
from mcloud.prompting import Pick
from mcloud.session.protocol import OutlookLine


@dataclass
class Scripted:
    """Answers questions in the order given, confirms or not, and remembers what was shown."""

    answers: Sequence[str] | Mapping[str, str] = ()
    """One after another, or by prompt; "" takes the default. Another question is an AssertionError."""
    confirms: bool = True
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    codes: list[SecretStr] = field(default_factory=list)
    plans: dict[str, Sequence[OutlookLine]] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    destroys: Sequence[str] | None = None
    """What was to be confirmed; None if nobody asked."""

    def heading(self, text: str) -> None:
        """Show nothing."""

    def ask(
        self,
        prompt: str,
        *,
        default: str = "",  # noqa: ARG002 - Prompter's, as the next three are
        choices: Sequence[str] = (),  # noqa: ARG002
        secret: bool = False,  # noqa: ARG002
        otherwise: str = "",  # noqa: ARG002
    ) -> str:
        """Give the next answer."""
        return self._next(prompt)

    def agree(self, question: str, *, default: bool, otherwise: str = "") -> bool:  # noqa: ARG002
        """Say yes or no as the script says; "" takes the default."""
        answer = self._next(question)
        return answer == "yes" if answer else default

    def pick(self, pick: Pick) -> tuple[str, ...]:
        """Pick the rows whose keys the script names, separated by blanks."""
        keys = self._next(pick.question).split()
        rows = {row.key: row for row in pick.rows()}
        assert set(keys) <= set(rows), f"{pick.question}: of {keys} there are {sorted(rows)}"
        closed = [rows[key].closed for key in keys if rows[key].closed]
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
        raise AssertionError(f"nobody has an answer to {prompt!r}: {'; '.join(self.complaints)}")

    def complain(self, reason: str) -> None:
        """Remember why an answer was not taken."""
        self.complaints.append(reason)

    def notice(self, text: str) -> None:
        """Remember one line about the session."""
        self.notices.append(text)

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
