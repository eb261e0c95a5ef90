"""Errors as people and programs read them: what, all that is inside, what to do."""

import re
from collections.abc import Iterator
from typing import Any

from mcloud.errors import McloudError, RunFailed

_KEY = re.compile(
    r"(?<![\w/])(?:bootstrap|issue_token|join|configure|adapt|admit|follow|close)"
    r"/([\w-]+)/([a-z0-9-]+)/([a-z0-9-]+)/([\w.-]+)"
)
"""The key of a step: hook, plugin, machine, machine it is about, name."""


def spoken(text: str) -> str:
    """Return a text with the keys of steps in it as people say them: machine, service, step."""

    def say(key: re.Match[str]) -> str:
        plugin, machine, about, step = key.groups()
        return f"{machine} {plugin} {step}" + (f" for {about}" if about != machine else "")

    return _KEY.sub(say, text)


def error_lines(error: McloudError) -> list[str]:
    """Return an error as lines: what, all that is inside, what to do."""
    lines = _indented(f"Error: {spoken(str(error))}", "")
    for problem in getattr(error, "problems", ()):
        lines += _indented(problem, "  ")
    if isinstance(error, RunFailed):
        for step, inner in inside(error):
            kind = "" if isinstance(inner, McloudError) else f"{type(inner).__name__}: "
            lines += _indented(f"{spoken(step)}: {kind}{inner}" if step else f"{kind}{inner}", "  ")
            lines += _indented(getattr(inner, "hint", ""), "    ")
    lines += _indented(f"Hint: {error.hint}" if error.hint else "", "")
    return lines


def error_fields(error: McloudError) -> dict[str, Any]:
    """Return an error as --json shows it."""
    return {
        "type": "error",
        "error": type(error).__name__,
        "message": str(error),
        "problems": list(getattr(error, "problems", ())),
        "inside": [
            {"step": step, "message": str(one), "hint": getattr(one, "hint", "")}
            for step, one in inside(error)
        ],
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def inside(error: Exception) -> Iterator[tuple[str, Exception]]:
    """Yield all errors of a group, however deep, each with the key of its step ("" if it has none)."""
    for inner in getattr(error, "exceptions", ()):
        if isinstance(inner, ExceptionGroup):
            yield from inside(inner)
        else:
            yield next(iter(getattr(inner, "__notes__", ())), ""), inner


def _indented(text: str, indent: str) -> list[str]:
    """Return a text's lines, those after the first a little deeper."""
    first, *others = text.splitlines() or [""]
    return [indent + first, *(f"{indent}  {line}" for line in others)] if text else []
