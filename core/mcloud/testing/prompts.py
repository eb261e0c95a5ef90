"""Scripted: a person whose answers are known beforehand, as operator and at the prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.model import Check
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

    def ask(self, prompt: str, *, default: str, choices: Sequence[str]) -> str:  # noqa: ARG002 - Prompter's
        """Give the next answer."""
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
