"""What a run tells those who watch it: one event at a time, made to be shown, sent on and kept."""

from collections.abc import Callable
from typing import Literal

from mcloud.model import Printable, Record


class Happening(Record):
    """One thing that happened to one step on one machine."""

    machine: Printable
    plugin: Printable
    hook: Printable
    about: Printable
    step: Printable
    what: Literal["started", "done", "adopted", "skipped", "failed", "waiting", "report", "undone", "left"]
    seconds: float = 0.0
    text: Printable = ""


Watch = Callable[[Happening], None]
"""Called from any thread; must return at once."""


def nobody(_happening: Happening) -> None:
    """Watch without looking."""
