"""How lines get out: masked and clean, above live lanes and above an open question, or as JSON."""

import json
import os
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from mcloud.cli.lines import clean, wrapped
from mcloud.secrets import Secrets

Mode = Literal["live", "plain", "json"]
REFRESHES = 4
"""A second."""
SHOW_CURSOR = "\x1b[?25h"


class Output:
    """This program's standard output; everything on it goes through here, from any thread."""

    def __init__(self, known: Secrets, *, json_lines: bool, plain: bool) -> None:
        """Choose the way of showing: live only where a terminal is, and nobody asked for plain lines."""
        self.known = known
        terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.mode: Mode = "json" if json_lines else "live" if terminal and not plain else "plain"
        self.lock = RLock()
        live = self.mode == "live"
        self._console = _Console(
            highlight=False, markup=False, emoji=False, force_terminal=live, no_color=None if live else True
        )
        self._live: Live | None = None
        self._question = self._again = ""
        self._wake: Callable[[], None] | None = None
        self._waiting: deque[Callable[[], None]] = deque()
        self._began = self.spoke = time.monotonic()
        self._found = _terminal_settings()

    @property
    def seconds(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    @property
    def engaged(self) -> bool:
        """Whether a person is asked something just now, or sees what goes on anyway."""
        return bool(self._question) or self._wake is not None or self._live is not None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal."""
        width, height = self._console.size
        return width, height

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where there is none, and lines are as long as they are."""
        return self.size[0] if sys.stdout.isatty() else None

    def line(
        self,
        text: str,
        style: str = "",
        *,
        masked: bool = True,
        verbatim: bool = False,
        error: bool = False,
        hang: int = 0,
    ) -> None:
        """Print text; on a terminal wrapped between words (unless `verbatim`) and in a rich style.

        `hang` is by how much what is wrapped stands in at least.
        """
        text = clean(self.known.mask(text) if masked else text)
        stream = sys.stderr if error else sys.stdout
        if not verbatim and stream.isatty():
            text = wrapped(text, self.size[0], hang)
        with self.lock:
            self.spoke = time.monotonic()
            if self._wake is not None:
                self._waiting.append(lambda: self._print(text, style, error=error))
                with suppress(RuntimeError):  # it ends just now: what waits is printed then
                    self._wake()
            else:
                self._print(text, style, error=error)

    def fields(self, fields: Mapping[str, Any], *, masked: bool = True) -> None:
        """Print one JSON object, on a line of its own."""
        line = json.dumps({"at": round(self.seconds, 3), **fields}, ensure_ascii=True, default=str)
        with self.lock:
            self.spoke = time.monotonic()
            self._write((self.known.mask(line) if masked else line) + "\n")

    def pose(self, question: str, *, again: str = "") -> None:
        """Show a question and keep it, or `again`, below whatever else is printed; "" takes it away."""
        with self.lock:
            self.stop_live()
            self._put_aside()
            self._question, self._again = question, again or question
            self._write(question)

    def answered(self, *, ended: bool = True) -> None:
        """Forget the question; the person has ended its line, or it is ended here."""
        with self.lock:
            if self._question and not ended:
                self._write("\n")
            self._question = ""

    @contextmanager
    def beside(self, wake: Callable[[], None]) -> Iterator[None]:
        """While open: something else draws on the terminal, and lines wait until it calls `catch_up`.

        `wake` is told of each from any thread, and must not wait itself.
        """
        with self.lock:
            self.stop_live()
            self._wake = wake
        try:
            yield
        finally:
            with self.lock:
                self._wake = None
                self.catch_up(lambda: None)

    def catch_up(self, make_room: Callable[[], None]) -> None:
        """Print the lines that wait, if there are any, once there is room for them."""
        with self.lock:
            if self._waiting:
                make_room()
            while self._waiting:
                self._waiting.popleft()()

    def start_live(self, drawn: Callable[[], RenderableType]) -> None:
        """Draw what `drawn` returns below all lines, again and again; not while a question is open."""
        with self.lock:
            if self._live is None and not self._question and not self._wake and self.mode == "live":
                self._live = Live(
                    console=self._console, get_renderable=drawn, refresh_per_second=REFRESHES, transient=True
                )
                self._live.start()

    def stop_live(self) -> None:
        """Take it away again."""
        with self.lock:
            live, self._live = self._live, None
            if live is not None:
                live.stop()

    def restore(self) -> None:
        """Leave the terminal usable where the program ends on the spot."""
        if self._found is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._found)
        if self.mode == "live":
            with suppress(OSError):
                os.write(1, f"{SHOW_CURSOR}\n".encode())

    def _print(self, text: str, style: str, *, error: bool) -> None:
        if error:
            self.stop_live()
            with suppress(OSError):
                sys.stderr.write(text + "\n")
                sys.stderr.flush()
            return
        self._put_aside()
        with _reader_may_go():
            self._console.print(Text(text, style=style if self.mode == "live" else ""), soft_wrap=True)
        if self._question:
            self._write(self._again)

    def _put_aside(self) -> None:
        """Make room where a question is open; it is asked again below."""
        if self._question:
            fits = self.mode == "live" and len(self._question) < self.size[0]
            self._write("\r\x1b[K" if fits else "\n")

    def _write(self, text: str) -> None:
        with _reader_may_go():
            sys.stdout.write(text)
            sys.stdout.flush()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on without a reader; rich would end the program."""
        self.quiet = True
        _reader_is_gone()


def _terminal_settings() -> list[Any] | None:
    """Return how the terminal was found, None if there is none."""
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError, termios.error):
        return None


@contextmanager
def _reader_may_go() -> Iterator[None]:
    """Let a pipe or terminal that is gone end what is shown, not what is done."""
    try:
        yield
    except OSError:
        _reader_is_gone()


def _reader_is_gone() -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
