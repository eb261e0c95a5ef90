"""Texts as lines of a screen or a pipe: no control characters, wrapped between words."""

import re
import textwrap

from mcloud.cli.failing import spoken
from mcloud.escapes import without_escapes
from mcloud.watch import Happening

NARROWEST = 40
_LABEL = re.compile(r"(?:.{0,22}\S)? {2,}(?=\S)|[A-Z][A-Za-z ]{1,20}: (?=\S)|(?:DESTROYS|LOST) (?=FOR GOOD)")
"""What a line begins with: anything short before two blanks, a word and a colon, or the word for a loss."""


def step_line(happening: Happening) -> str:
    """Return one happening as a line."""
    about = f" for {happening.about}" if happening.about != happening.machine else ""
    took = f" ({happening.seconds:.1f} s)" if happening.seconds >= 0.05 else ""  # noqa: PLR2004 - below it is noise
    own = f"/{happening.plugin}/{happening.machine}/{happening.about}/{happening.step}: "
    said = happening.text.partition(own)[2] or happening.text  # the line has said whose step it is
    text = f": {said}" if said else ""
    what = {"failed": "FAILED", "left": "is still there", "notice": "says"}.get(
        happening.what, happening.what
    )
    return f"{happening.machine}  {happening.plugin:6} {happening.step}{about}  {what}{took}{spoken(text)}"


def clean(text: str) -> str:
    """Return a text without control characters; only line ends stay."""
    plain = without_escapes(text).expandtabs()
    return "".join(c if c.isprintable() or c == "\n" else " " for c in plain)


def wrapped(text: str, width: int, hang: int = 0) -> str:
    """Wrap lines between words; what follows stands below the text, right of what labels it.

    It stands `hang` blanks in at least.
    """
    lines = []
    for line in text.split("\n"):
        label = _LABEL.match(line)
        lines += textwrap.wrap(
            line,
            max(NARROWEST, width - 1),
            subsequent_indent=" " * max(label.end() if label else 0, hang),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines)
