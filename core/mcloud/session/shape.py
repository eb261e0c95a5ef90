"""From the bytes of a message to its JSON value: once, and only if it is of a size that memory bears.

What is cheap on the wire is not so in memory: two bytes can be an object of two hundred, and half a
MiB of mistakes becomes a hundred MiB of error texts. So values and depth are counted before anything
is made of them.
"""

import json
import math
import re
from typing import Any

MOST_VALUES = 1_000_000
"""Values in one message from an initiator: a machine's survey has 150, and there may be many of it."""
MOST_OF_A_JOINER = 20_000
"""Values in one message from a joiner: a machine of five hundred disks and interfaces has 10 000."""
_DEEPEST = 64
"""Levels. Our own messages have a dozen; pydantic writes no more than 255 of them again."""
_DIGITS = 20
"""Of a whole number: 64 bits and a sign. Nobody counts further, and to print thousands takes long."""

# Once what is escaped is out. Takes one pass, and no memory, also where strings have no end.
_STRINGS = re.compile(rb'"[^"]*"?')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half a character, which no UTF-8 can hold: it could not be said again."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def shape_of(raw: bytes, *, most: int = MOST_VALUES) -> Any:
    """Return the JSON value (RFC 8259) in a message of at most so many values.

    Raises ValueError or RecursionError for broken JSON, doubled keys, numbers beyond 64 bits, infinite ones
    or none at all, half characters, and for what is too deep or too much. Its text may hold what was sent.
    """
    without_backslashes = raw.replace(rb"\\", b"")
    _must_be_moderate(without_backslashes, most)
    if _SURROGATE.search(without_backslashes):
        msg = "half a character"
        raise ValueError(msg)
    return json.loads(
        raw.decode(),
        object_pairs_hook=_no_doubles,
        parse_int=_whole,
        parse_float=_fraction,
        parse_constant=_no_number,
    )


def _must_be_moderate(raw: bytes, most: int) -> None:
    bare = _STRINGS.sub(b"", raw.replace(rb"\"", b""))
    if bare.count(b",") + bare.count(b"[") + bare.count(b"{") > most:
        msg = "too many values"
        raise ValueError(msg)
    brackets = bare.translate(None, _NO_BRACKETS)
    depth, deepest = 0, 0
    for bracket in brackets[: 2 * most]:  # of what is proper JSON, all
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        msg = "too deep"
        raise ValueError(msg)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    shape = dict(pairs)
    if len(shape) < len(pairs):
        msg = "a key occurs twice"
        raise ValueError(msg)
    return shape


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS or not -(2**63) <= (number := int(digits)) < 2**64:
        msg = "a number is too large"
        raise ValueError(msg)
    return number


def _fraction(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        msg = "a number is too large"
        raise ValueError(msg)
    return number


def _no_number(name: str) -> float:
    msg = f"{name} is no number"
    raise ValueError(msg)
