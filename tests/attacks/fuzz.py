"""What fuzz tests draw from: bytes and JSON that were right once, and certificates that nobody makes.

MCLOUD_FUZZ=50 makes fifty times as many examples.
"""

import base64
import json
import os
import textwrap
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

BUDGET = float(os.environ.get("MCLOUD_FUZZ", "1"))


def examples(number: int) -> Callable[[Any], Any]:
    """Run a test with so many examples, times the budget; each may take as long as its own limits say."""
    return settings(
        max_examples=max(1, int(number * BUDGET)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=BUDGET <= 1,
    )


def wounded(valid: bytes) -> st.SearchStrategy[bytes]:
    """Draw bytes with a few cuts, changes and insertions."""
    place = st.integers(0, max(0, len(valid) - 1))

    def hurt(wounds: list[tuple[int, int, bytes]]) -> bytes:
        data = bytearray(valid)
        for at, length, instead in wounds:
            data[at : at + length] = instead
        return bytes(data)

    return st.lists(
        st.tuples(place, st.sampled_from([0, 1, 1, 1, 2, 8, 10_000]), st.binary(max_size=8)),
        min_size=1,
        max_size=4,
    ).map(hurt)


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "x" * 300, "\x1b[31mred", "\ud800", "\0", "\N{RIGHT-TO-LEFT OVERRIDE}", "n1", "::", "0" * 64]
    ),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([-1, 2**31, 2**64, 10**400, 1e308, float("nan"), float("inf"), -0.0]),
        TEXTS,
    ),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=6,
)


def places(shape: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value in a JSON value."""
    inside = shape.items() if isinstance(shape, dict) else enumerate(shape) if isinstance(shape, list) else ()
    return [here] * bool(here) + [way for key, value in inside for way in places(value, (*here, key))]


@st.composite
def hurt_json(draw: st.DrawFn, valid: bytes) -> bytes:
    """Draw a message in which values were replaced, taken out, added, or said twice."""
    shape = json.loads(valid)
    for _ in range(draw(st.integers(1, 3))):
        ways = places(shape)
        if not ways:
            break
        *way, last = draw(st.sampled_from(ways))
        inner = shape
        for key in way:
            inner = inner[key]
        match draw(st.sampled_from(["replace", "replace", "take out", "add", "again"])):
            case "replace":
                inner[last] = draw(VALUES)
            case "take out":
                del inner[last]
            case "add" if isinstance(inner, dict):
                inner[draw(TEXTS)] = draw(VALUES)
            case "again" if isinstance(inner, list):
                inner.extend(deepcopy(inner[:3]))
    said = json.dumps(shape).encode()
    if draw(st.integers(0, 9)) == 0:
        said = said.replace(b"{", b'{"type":"hello",', 1)
    return draw(wounded(said)) if draw(st.integers(0, 9)) == 0 else said


def pem(der: bytes) -> str:
    """Return bytes in the clothes of a certificate."""
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
