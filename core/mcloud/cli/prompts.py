"""Questions at the terminal: a `Prompter`, whose questions stay below whatever is said meanwhile."""

import sys
from collections.abc import Sequence

from rich.cells import cell_len

from mcloud.cli.lines import clean, wrapped
from mcloud.cli.numbered import pick_numbered
from mcloud.cli.output import Output
from mcloud.cli.typed import read_line, unseen
from mcloud.errors import SettingsError
from mcloud.prompting import Pick

YES, NO = frozenset({"y", "yes"}), frozenset({"n", "no"})


class Prompts:
    """The person at the terminal as a `Prompter`; without one, each question is a SettingsError."""

    def __init__(self, output: Output) -> None:
        """Ask through `output`."""
        self.output = output
        self.mode = output.mode

    @property
    def can_ask(self) -> bool:
        """Whether there is a person at a terminal."""
        return self.mode != "json" and sys.stdin.isatty()

    def heading(self, text: str) -> None:
        """Say what the next questions are about."""
        if self.mode != "json":
            self.output.line(f"\n{text}", "bold")

    def ask(
        self,
        prompt: str,
        *,
        default: str = "",
        choices: Sequence[str] = (),
        secret: bool = False,
        otherwise: str = "",
    ) -> str:
        """Return what was typed; "" takes the default. What is typed for a secret is not shown.

        Other answers than the choices are taken, too. Raises Abort at the end of the input.
        """
        self._need_person(prompt, otherwise)
        question = clean(prompt).rstrip(": ")
        if secret:
            with unseen():
                return self._line(f"{question} (not shown while you type): ")
        end = f" [{clean(default)}]" if default else ""
        end += " " if (question + end).endswith("?") else ": "
        offered = f" ({', '.join(map(clean, choices))})" if choices else ""
        room = max(map(cell_len, choices), default=0) + 1
        if offered and cell_len(question + offered + end) + room > self.output.size[0]:
            self.output.line(f"Offered:  {offered[2:-1]}")
            offered = ""
        end = offered + end
        if choices and self.mode == "live":
            # Here and not above: no other command has to load it.
            from mcloud.cli.completion import ask_completed  # noqa: PLC0415

            return ask_completed(f"{question}{end}", choices, self.output)
        return self._line(f"{question}{end}")

    def agree(self, question: str, *, default: bool, otherwise: str = "") -> bool:
        """Ask yes or no and wait for the answer. Raises Abort at the end of the input."""
        self._need_person(question, otherwise)
        while True:
            answer = self._line(f"{clean(question).rstrip('? ')}? [{'Y/n' if default else 'y/N'}] ").lower()
            if answer in YES | NO:
                return answer in YES
            if not answer:
                return default
            self.output.line("Please type y or n.")

    def pick(self, pick: Pick) -> tuple[str, ...]:
        """Return the keys of the rows that were picked, in the table's order. Raises Abort as `ask`."""
        self._need_person(pick.question, pick.otherwise)
        if self.mode != "live":
            taken, titles = pick_numbered(pick, self.output)
        else:
            from mcloud.cli.picker import pick_live  # noqa: PLC0415 - as above

            taken, titles = pick_live(pick, self.output)
            self.output.line(pick.question, "bold")
        self.output.line(f"  {', '.join(titles) or 'none'}")
        return taken

    def complain(self, reason: str) -> None:
        """Say why the last answer was not taken; the question is asked again."""
        if self.mode != "json":
            self.output.line(f"Not accepted: {reason}", "bold")

    def _line(self, question: str) -> str:
        *before, last = wrapped(question, self.output.size[0]).split("\n")
        for text in before:
            self.output.line(text)
        line = None
        try:
            # Blanks at the end are the question's own, wrapping takes them away.
            self.output.pose(last.rstrip() + question[len(question.rstrip()) :])
            line = read_line()
        finally:
            self.output.answered(ended=line is not None)
        return line or ""

    def _need_person(self, question: str, otherwise: str) -> None:
        """Raise SettingsError if there is nobody to ask."""
        if not self.can_ask:
            raise SettingsError(
                f"an answer is missing: {clean(question).rstrip(': ')}",
                hint="there is no terminal to ask at" + (f": {otherwise}" if otherwise else ""),
            )
