"""Keep what was there before a step, and put it back: nothing kept means nothing to put back."""

import json
from typing import Any

from mcloud import StepContext


def keep(ctx: StepContext, name: str, value: Any) -> None:
    """Keep a JSON value; None is a value too (an option that was not set)."""
    ctx.keep(name, json.dumps(value))


def kept(ctx: StepContext, name: str, default: Any = None) -> Any:
    """Return what was kept; the default if the step died before it kept anything."""
    text = ctx.kept(name)
    return default if text is None else json.loads(text)
