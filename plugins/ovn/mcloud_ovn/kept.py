"""Keep what was there before a step, and put it back: nothing kept means nothing to put back."""

import json
from typing import Any

from mcloud import StepContext


def keep(ctx: StepContext, name: str, value: Any) -> None:
    """Keep a JSON value; None is a value too (a file that was not there)."""
    ctx.keep(name, json.dumps(value))


def kept(ctx: StepContext, name: str, default: Any = None) -> Any:
    """Return what was kept; the default if the step died before it kept anything."""
    text = ctx.kept(name)
    return default if text is None else json.loads(text)


def keep_file(ctx: StepContext, path: str) -> None:
    """Keep a file's content, or that there is none."""
    keep(ctx, path, ctx.host.read(path))


def restore_file(ctx: StepContext, path: str) -> None:
    """Put a file back as it was; leaves it alone if it was never kept."""
    text = ctx.kept(path)
    if text is not None:
        ctx.host.write(path, json.loads(text))
