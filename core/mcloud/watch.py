"""What a run tells those who watch it: one event at a time, made to be shown, sent on and kept."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from mcloud.plan import Gate, Lane
from mcloud.records import Printable, Record, printable
from mcloud.steps import Step


class Happening(Record):
    """One thing that happened to one step on one machine."""

    machine: Printable
    plugin: Printable
    hook: Printable
    about: Printable
    step: Printable
    what: Literal[
        "started", "done", "adopted", "skipped", "failed", "waiting", "report", "notice", "undone", "left"
    ]
    seconds: float = Field(default=0.0, ge=0, le=10**9)
    text: Printable = ""


def of_step(lane: Lane, step: Step | Gate, what: str, *, seconds: float = 0.0, text: str = "") -> Happening:
    """Return what happened to a step; the text is made printable."""
    return Happening.model_validate(
        {
            "machine": lane.machine,
            "plugin": lane.plugin,
            "hook": lane.hook,
            "about": lane.about,
            "step": step.name,
            "what": what,
            "seconds": seconds,
            "text": printable(text),
        }
    )


Watch = Callable[[Happening], None]
"""Called from any thread; must return at once."""


def nobody(_happening: Happening) -> None:
    """Watch without looking."""
