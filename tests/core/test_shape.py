"""The JSON value of a message: counted before anything is made of it, and nothing in it is endless."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcloud.session.shape import shape_of

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXTS, inside, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_it_is_what_was_written(value):
    assert shape_of(json.dumps(value, ensure_ascii=False).encode(), most=200) == value


@given(st.text(st.sampled_from('"\\[]{},:x'), max_size=30))
def test_what_is_in_a_text_does_not_count(text: str):
    assert shape_of(json.dumps([text]).encode(), most=1) == [text]


@pytest.mark.parametrize("digits", [20, 3000, 5000])
def test_numbers_have_an_end(digits: int):
    """Python reads 4300 digits, and shows them; and has no fraction of so large a number."""
    for said in ("9" * digits, f"-{'9' * digits}", f"1e{'9' * digits}", f"[{'9' * digits}]"):
        with pytest.raises(ValueError, match="too large"):
            shape_of(said.encode())
    assert shape_of(f"1.{'1' * digits}".encode()) == pytest.approx(10 / 9)


@pytest.mark.parametrize("said", ["NaN", "Infinity", "-Infinity", "[1e999]"])
def test_a_number_is_one(said: str):
    with pytest.raises(ValueError, match="number"):
        shape_of(said.encode())


@pytest.mark.parametrize(
    "said",
    [
        "[" * 65 + "]" * 65,
        '{"a":' * 65 + "1" + "}" * 65,
        '["]]]]",' * 65 + "1" + "]" * 65,
        "[" + "{}," * 65 + "1]" * 65,
        "[" * 500_000,
        '{"a":"' + '\\"' * 200_000,
        '"a' * 200_000,
        "]" * 500_000,
    ],
    ids=len,
)
def test_what_is_too_deep_or_too_much_is_not_parsed(said: str):
    with pytest.raises(ValueError, match=r"too deep|too many|delimiter|Expecting|Unterminated|Extra data"):
        shape_of(said.encode(), most=100)
    assert shape_of(b"[" * 64 + b"]" * 64)


@pytest.mark.parametrize("said", [rb'"\ud800"', rb'"\\\uDfff"', rb'{"\ud83d\ude00":1}'])
def test_half_characters_are_none(said: bytes):
    """`json` reads them, and nobody could write them again."""
    with pytest.raises(ValueError, match="half a character"):
        shape_of(said)
    assert shape_of(rb'"\\ud800"') == r"\ud800"


@pytest.mark.parametrize("said", [b"\xff", b'"\xed\xa0\x80"', '{"a":1}'.encode("utf-16"), b"\xef\xbb\xbf1"])
def test_it_is_utf_8(said: bytes):
    with pytest.raises(ValueError, match=r"codec|BOM"):
        shape_of(said)


def test_a_key_occurs_once():
    with pytest.raises(ValueError, match="twice"):
        shape_of(b'[{"a":1,"a":1}]')
