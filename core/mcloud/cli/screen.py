"""The only place that prints: lines in a pipe, live lanes on a terminal, JSON lines with --json."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, Literal

import click
from pydantic import SecretStr
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mcloud.cli.lanes import Lanes
from mcloud.errors import McloudError, RunFailed, SettingsError
from mcloud.model import Check
from mcloud.secrets import Secrets
from mcloud.session.protocol import OutlookLine
from mcloud.watch import Happening

Mode = Literal["live", "plain", "json"]
TOLD = frozenset({"done", "adopted", "failed", "undone", "left"})
"""Happenings worth a line where nothing can be redrawn."""


class Screen:
    """The person's screen: an `Operator` and a `Watch`. Everything others say is shown as plain text."""

    def __init__(
        self, known: Secrets, *, json_lines: bool = False, plain: bool = False, yes: bool = False
    ) -> None:
        """Choose the way of showing: live only where a terminal is, and nobody asked for plain lines."""
        self.known = known
        self.yes = yes
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.mode: Mode = (
            "json" if json_lines else "live" if self.console.is_terminal and not plain else "plain"
        )
        self.lanes = Lanes()
        self._began = time.monotonic()
        self._lock = RLock()
        self._live: Live | None = None

    # ---- what the core calls --------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        """Show one line about the session."""
        self._line({"type": "notice", "text": self.known.mask(text)}, self.known.mask(text))

    def show_code(self, code: SecretStr, *, renewed: bool) -> None:
        """Show the code: the one secret that is meant for eyes."""
        words = code.get_secret_value()
        text = (
            "There were too many wrong guesses; the new code is:"
            if renewed
            else "Type `mcloud join` on the other machines; the code is:"
        )
        self._line({"type": "code", "code": words, "renewed": renewed}, f"{text}\n\n    {words}\n")

    def show_plans(self, plans: Mapping[str, Sequence[OutlookLine]], checks: Sequence[Check]) -> None:
        """Show per machine and service what is to do, what is lost for good, and what the checks found."""
        if self.mode == "json":
            self._json(
                {
                    "type": "plan",
                    "machines": {
                        name: [line.model_dump() for line in lines] for name, lines in plans.items()
                    },
                    "checks": [check.model_dump() for check in checks],
                }
            )
            return
        for name, lines in plans.items():
            self._plain(Text(f"Plan of {name}", style="bold"))
            self._plain(_plan_text(lines))
        for line in check_lines(checks):
            self._plain(Text(line))

    def confirm(self, destroys: Sequence[str]) -> bool:
        """Ask whether the plan may be carried out; without a terminal only --yes is an answer."""
        if self.yes:
            return True
        if self.mode == "json" or not sys.stdin.isatty():
            raise SettingsError(
                "the plan must be confirmed, and there is no terminal to ask at",
                hint="look at it with `mcloud plan FILE`, then add --yes",
            )
        question = "Carry out this plan?"
        if destroys:
            question = f"This destroys for good: {'; '.join(destroys)}. Carry out this plan?"
        return click.confirm(question, default=not destroys)

    def happened(self, happening: Happening) -> None:
        """Watch a run."""
        with self._lock:
            self.lanes.note(happening)
            if self.mode == "json":
                self._json({"type": "step", **happening.model_dump()})
            elif self._live is None and happening.what in TOLD:
                self._plain(Text(f"{time.monotonic() - self._began:7.1f} s  {step_line(happening)}"))
            elif self._live is not None and happening.what == "failed":
                self._plain(Text(step_line(happening), style="red"))

    # ---- what the commands call -----------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show live lanes while open, where there is a terminal."""
        if self.mode != "live":
            yield
            return
        with Live(
            console=self.console, get_renderable=self._lanes_now, refresh_per_second=4, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        ) as live:  # fmt: skip
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def say(self, text: str, **fields: Any) -> None:
        """Print a line of a command's result; `fields` is what --json prints instead."""
        self._line(fields or {"type": "text", "text": text}, text)

    def error(self, error: McloudError) -> None:
        """Show an error with all that is inside it, on standard error."""
        if self.mode == "json":
            self._json({"type": "error", **error_fields(error, self.known)}, stream=sys.stderr)
            return
        for line in error_lines(error):
            click.echo(self.known.mask(line), err=True)

    def _lanes_now(self) -> RenderableType:
        with self._lock:
            return Group(*(Text(line, overflow="ellipsis", no_wrap=True) for line in self.lanes.lines()))

    def _line(self, fields: Mapping[str, Any], text: str) -> None:
        with self._lock:
            if self.mode == "json":
                self._json(fields)
            else:
                self._plain(Text(text))

    def _plain(self, text: Text) -> None:
        self.console.print(text)

    def _json(self, fields: Mapping[str, Any], stream: Any = None) -> None:
        print(json.dumps(fields, ensure_ascii=True, default=str), file=stream or sys.stdout, flush=True)


def step_line(happening: Happening) -> str:
    """Return one happening as a line."""
    about = f" for {happening.about}" if happening.about != happening.machine else ""
    took = f" ({happening.seconds:.1f} s)" if happening.seconds >= 0.05 else ""  # noqa: PLR2004 - below it is noise
    text = f": {happening.text}" if happening.text else ""
    lane = f"{happening.machine}  {happening.plugin} {happening.hook}{about}"
    return f"{lane}  {happening.step}  {happening.what}{took}{text}"


def check_lines(checks: Sequence[Check]) -> list[str]:
    """Return what the checks found, warnings first; what is well is left out."""
    lines = []
    for check in sorted(checks, key=lambda check: check.level != "error"):
        if check.level != "ok":
            where = f"{check.machine}: " if check.machine else ""
            lines.append(
                f"{check.level.upper()}  {where}{check.message}" + (f" ({check.hint})" if check.hint else "")
            )
    return lines


def error_lines(error: McloudError) -> list[str]:
    """Return an error as lines: what, all that is inside, what to do."""
    lines = [f"Error: {error}"]
    lines += [f"  {problem}" for problem in getattr(error, "problems", ())]
    if isinstance(error, RunFailed):
        for inner in error.exceptions:
            where = next(iter(getattr(inner, "__notes__", ())), "")
            kind = "" if isinstance(inner, McloudError) else f"{type(inner).__name__}: "
            lines.append(f"  {where}: {kind}{inner}")
            if hint := getattr(inner, "hint", ""):
                lines.append(f"    {hint}")
    if error.hint:
        lines.append(f"Hint: {error.hint}")
    return lines


def error_fields(error: McloudError, known: Secrets) -> dict[str, Any]:
    """Return an error as --json shows it."""
    inner = error.exceptions if isinstance(error, RunFailed) else ()
    return {
        "error": type(error).__name__,
        "message": known.mask(str(error)),
        "hint": error.hint,
        "problems": [known.mask(line) for line in getattr(error, "problems", ())],
        "inside": [known.mask(str(one)) for one in inner],
        "exit_code": error.exit_code,
    }


def _plan_text(lines: Sequence[OutlookLine]) -> Text:
    text = Text()
    for line in lines:
        hook, plugin, machine, about, step = line.key.split("/")
        whom = f" for {about}" if about != machine else ""
        text.append(f"  {'do   ' if line.to_do else 'there'}  {plugin:8} {hook}{whom}: {step}\n")
        for loss in line.destroys if line.to_do else ():
            text.append(f"         DESTROYS {loss}\n", style="bold red")
    return text
