"""What terminals take for orders, in what programs and other machines say: taken out whole."""

import re

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
"""Control sequences, and commands to the terminal's program (ECMA-48, 5.4 and 5.6)."""


def without_escapes(text: str) -> str:
    """Return a text without colours and the like; a screen would show all of them but their first letter."""
    return _SEQUENCE.sub("", text)
