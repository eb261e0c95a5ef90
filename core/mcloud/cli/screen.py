"""What a person sees and is asked: live lanes on a terminal, lines in a pipe, objects with --json."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from pydantic import SecretStr
from rich.console import Group

from mcloud.cli.bugs import BUG, bug_lines
from mcloud.cli.failing import error_fields, error_lines, spoken
from mcloud.cli.lanes import Lanes
from mcloud.cli.lines import step_line
from mcloud.cli.live import lane_lines
from mcloud.cli.output import Output
from mcloud.cli.patience import Patience, as_fields
from mcloud.cli.plans import check_lines, loss_lines, work_lines
from mcloud.cli.prompts import Prompts
from mcloud.cli.typed import forget_lines
from mcloud.errors import McloudError, SettingsError
from mcloud.model import Check
from mcloud.secrets import Secrets
from mcloud.session.protocol import OutlookLine
from mcloud.waits import Wait, in_hand
from mcloud.watch import Happening

HANG = 2
"""Blanks before what is wrapped of a notice: they come in any order, and each is seen to be one."""
TOLD = frozenset({"done", "adopted", "failed", "undone", "left"})
"""Happenings worth a line where nothing can be redrawn."""


class Screen(Prompts):
    """The person's screen: `Operator`, `Watch` and `Prompter`. What others say is shown as plain text."""

    def __init__(self, known: Secrets, *, json_lines: bool = False, plain: bool = False) -> None:
        """Begin; `known` is masked in all that is shown."""
        super().__init__(Output(known, json_lines=json_lines, plain=plain))
        self.known = known
        self.yes = False
        """Whether the operator has said yes beforehand."""
        self.lanes = Lanes()
        self.marks: dict[str, float] = {}
        """When something of note happened: seconds since the command began."""
        self._running = False
        # Not the output's lock: whoever draws holds rich's, which whoever prints waits for.
        self._counting = Lock()

    # ---- what the core calls --------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        """Show one line about the session."""
        if self.mode == "json":
            self.output.fields({"type": "notice", "text": text})
        else:
            self.output.line(spoken(text), hang=HANG)

    def machine(self, name: str, state: str) -> None:
        """Tell a program where a joiner is now; a person has read it in a notice."""
        if state == "failed":
            with self._counting:
                self.lanes.leave_out(name)
        if self.mode == "json":
            self.output.fields({"type": "machine", "name": name, "state": state})

    def show_code(self, code: SecretStr, *, renewed: bool) -> None:
        """Show the code: the one secret that is meant for eyes."""
        words = code.get_secret_value()
        if self.mode == "json":
            self.output.fields({"type": "code", "code": words, "renewed": renewed}, masked=False)
            return
        why = "There were too many wrong guesses. The code is now:" if renewed else "The code is:"
        text = f"Type `mcloud join` on the other machines. {why}\n\n    {words}\n"
        self.output.line(text, masked=False)

    def show_plans(self, plans: Mapping[str, Sequence[OutlookLine]], checks: Sequence[Check]) -> None:
        """Show per machine and service what is to do, what the checks found, and what is lost for good."""
        self.mark("planned")
        with self._counting:
            self.lanes.expect(plans)
        if self.mode == "json":
            machines = {name: [line.model_dump() for line in lines] for name, lines in plans.items()}
            found = [check.model_dump() for check in checks]
            self.output.fields({"type": "plan", "machines": machines, "checks": found})
            return
        for text, style in (("", ""), *work_lines(plans), *check_lines(checks), *loss_lines(plans)):
            self.output.line(text, style)

    def confirm(self, destroys: Sequence[str], *, question: str = "Carry out this plan") -> bool:
        """Ask whether to go on; without a terminal only --yes is an answer."""
        if not self.yes and not self.can_ask:
            raise SettingsError(
                "this must be confirmed, and there is no terminal to ask at",
                hint="look at what is said above; --yes says yes beforehand",
            )
        if destroys:
            things = "what is" if len(destroys) == 1 else f"the {len(destroys)} things"
            question += f", and lose {things} named above for good"
        if not self.yes:
            forget_lines()  # an Enter too many at the last question would be a yes to a plan nobody has seen
        agreed = self.yes or self.agree(question, default=not destroys)
        self.mark("confirmed")
        return agreed

    def happened(self, happening: Happening) -> None:
        """Watch a run."""
        with self._counting:
            work = self.lanes.note(happening)
        if self.mode == "json":
            self.output.fields({**happening.model_dump(), "type": "step"})
        elif happening.what == "failed":
            self.output.line(self._stamped(happening), "bold red")
        elif happening.what == "notice" or (happening.what in TOLD and work and not self._running):
            self.output.line(self._stamped(happening))
        else:
            with self.output.lock:
                if self._running:
                    self.output.start_live(self._drawn)

    # ---- what the commands call -----------------------------------------------------------------------

    def mark(self, what: str) -> None:
        """Note when something happened, for the table of times."""
        self.marks[what] = self.output.seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show live lanes while open, from the first step on, where there is a terminal."""
        self._running = self.mode == "live"
        try:
            yield
        finally:
            with self.output.lock:
                self._running = False
                self.output.pose("")

    @contextmanager
    def patient(self) -> Iterator[None]:
        """While open: where nothing is shown for some time, say who is waited for."""
        with Patience(self._whom, lambda: self.output.spoke, self._still_waiting).kept():
            yield

    def say(self, text: str, style: str = "", /, *, verbatim: bool = False, **fields: Any) -> None:
        """Print lines; `fields` is what --json prints instead. `verbatim` lines are not wrapped."""
        if self.mode == "json":
            self.output.fields(fields or {"type": "text", "text": text})
        else:
            self.output.line(text, style, verbatim=verbatim)

    def error(self, error: McloudError) -> None:
        """Show an error with all that is inside: on standard error, with --json among the other objects."""
        if self.mode == "json":
            self.output.fields(error_fields(error))
            return
        for line in error_lines(error):
            self.output.line(line, error=True, hang=2 * HANG)

    def bug(self, error: Exception, where: str) -> None:
        """Tell of a mistake in the program, in two lines; `where` says where the rest is."""
        if self.mode == "json":
            self.output.fields(
                {"type": "bug", "error": type(error).__name__, "where": where, "exit_code": BUG}
            )
            return
        for line in bug_lines(error, where):
            self.output.line(line, error=True)

    def _whom(self) -> Sequence[Wait]:
        """Return who is waited for: steps, calls that are no step's, and if there are none other machines."""
        if self.output.engaged:
            return ()
        with self._counting:
            waits = self.lanes.waits()
        steps = {wait.who for wait in waits}
        waits += [wait for wait in in_hand() if wait.who.partition(" (")[0] not in steps]
        return [wait for wait in waits if not wait.other] or waits

    def _still_waiting(self, text: str, waits: Sequence[Wait]) -> None:
        if self.mode == "json":
            self.output.fields(as_fields(waits))
        else:
            self.output.line(spoken(text), "dim", hang=HANG)

    def _stamped(self, happening: Happening) -> str:
        return f"{self.output.seconds:7.1f} s  {step_line(happening)}"

    def _drawn(self) -> Group:
        with self._counting:
            (done, total), rows = self.lanes.steps(), self.lanes.rows()
        steps = f"{done} of {total} steps done" if total is not None else f"{done} steps done"
        width, height = self.output.size
        headline = f"{self.output.seconds:6.1f} s  {steps}"
        return Group(*lane_lines(rows, headline=headline, width=width, height=height))
