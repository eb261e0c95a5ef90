"""Texts as lines of a screen or a pipe: no control characters, wrapped between words."""

import re
import textwrap

from mcloud.cli.failing import spoken
from mcloud.watch import Happening

NARROWEST = 40
_LABEL = re.compile(r"(?:.{0,22}\S)? {2,}(?=\S)|[A-Z][A-Za-z ]{1,20}: (?=\S)")
"""What a line begins with: anything short before two blanks, or a word and a colon."""


def step_line(happening: Happening) -> str:
    """Return one happening as a line."""
    about = f" for {happening.about}" if happening.about != happening.machine else ""
    took = f" ({happening.seconds:.1f} s)" if happening.seconds >= 0.05 else ""  # noqa: PLR2004 - below it is noise
    text = f": {happening.text}" if happening.text else ""
    what = {"failed": "FAILED", "left": "is still there"}.get(happening.what, happening.what)
    return f"{happening.machine}  {happening.plugin:6} {happening.step}{about}  {what}{took}{spoken(text)}"


def clean(text: str) -> str:
    """Return a text without control characters; only line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text.expandtabs())


def wrapped(text: str, width: int) -> str:
    """Wrap lines between words; what follows stands below the text, right of what labels it."""
    lines = []
    for line in text.split("\n"):
        label = _LABEL.match(line)
        lines += textwrap.wrap(
            line,
            max(NARROWEST, width - 1),
            subsequent_indent=" " * (label.end() if label else 0),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines)
