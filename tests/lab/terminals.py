"""A terminal with a program in it, for tests: what it shows is what a person would see."""

import os
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pexpect
import pyte

SIZE = ("LINES", "COLUMNS")
"""Variables that would tell another size than that of the terminal itself."""


class Terminal:
    """Runs a program at a terminal."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] = os.environ,
        columns: int = 80,
        rows: int = 30,
        seconds: float = 60,
        term: str = "xterm-256color",
        echo: bool = True,
    ) -> None:
        """Start the program; `seconds` is how long `expect` and `end` wait."""
        self._columns = columns
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.Stream(self._screen)
        self.raw = ""
        """All that it wrote, as it wrote it."""
        self._child = pexpect.spawn(
            argv[0],
            list(argv[1:]),
            encoding="utf-8",
            dimensions=(rows, columns),
            timeout=seconds,
            echo=echo,
            # How large it is, the terminal itself tells.
            env={name: value for name, value in env.items() if name not in {"LINES", "COLUMNS"}}
            | {"TERM": term},
        )
        self._child.logfile_read = self

    def write(self, text: str) -> None:
        """Take what the program writes (pexpect's logfile)."""
        self.raw += text
        self._stream.feed(text)

    def flush(self) -> None:
        """Do nothing (pexpect's logfile)."""

    def expect(self, pattern: str) -> str:
        """Wait until something is written; return what the first group of the pattern took."""
        try:
            self._child.expect(pattern)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            seen = "\n".join(self.lines)
            raise AssertionError(f"no {pattern!r} came ({type(error).__name__}); there is\n{seen}") from None
        return self._child.match.group(1) if self._child.match.groups() else self._child.match.group()

    def until(self, holds: Callable[[list[str]], bool]) -> None:
        """Read on until something holds for what the terminal shows: a frame may come in pieces."""
        deadline = time.monotonic() + self._child.timeout
        while not holds(self.screen):
            try:
                # What is drawn again and again is no reason to wait for ever.
                self._child.read_nonblocking(4096, max(0, deadline - time.monotonic()))
                if time.monotonic() > deadline:
                    raise pexpect.TIMEOUT("still drawing")  # noqa: TRY301 - one way out
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                seen = "\n".join(self.screen)
                raise AssertionError(f"it never held ({type(error).__name__}); there is\n{seen}") from None

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self._child.sendline(line)

    def press(self, keys: str) -> None:
        """Press keys: characters, or what a terminal sends for others."""
        self._child.send(keys)

    def resize(self, *, columns: int, rows: int) -> None:
        """Change the size of the window; what is on it is cut, not wrapped anew."""
        self._columns = columns
        self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    @property
    def settings(self) -> list[Any]:
        """How the terminal is set (what `stty -g` shows)."""
        return termios.tcgetattr(self._child.child_fd)

    def interrupt(self) -> None:
        """Type Ctrl-C."""
        self._child.sendintr()

    def close(self) -> None:
        """Close the window: the program's terminal is gone."""
        self._child.close()

    def kill(self, number: int) -> None:
        """Send a signal."""
        self._child.kill(number)

    def end(self) -> int:
        """Wait for the end and return the exit status, negative for a signal."""
        self._child.expect(pexpect.EOF)
        self._child.close()
        return -self._child.signalstatus if self._child.signalstatus else self._child.exitstatus

    @property
    def screen(self) -> list[str]:
        """What the terminal shows just now, without empty lines at the end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def cursor_shown(self) -> bool:
        """Whether it can be seen where one types."""
        return not self._screen.cursor.hidden

    @property
    def lines(self) -> list[str]:
        """All lines that a person can see or scroll back to, without empty ones at the end."""
        gone = [
            "".join(line[i].data for i in range(self._columns)).rstrip() for line in self._screen.history.top
        ]
        return [*gone, *self.screen]
