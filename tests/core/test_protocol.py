"""Messages: what is read is bounded, unambiguous and meant for now; errors never show what was sent."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcloud.session
from mcloud import ProtocolError
from mcloud.attendance import brings
from mcloud.session.protocol import (
    SCRIPT,
    Failed,
    Farewell,
    Go,
    Introduction,
    Joined,
    Ready,
    Token,
    decode,
    encode,
)
from mcloud.watch import Happening


def test_a_message_comes_back_as_it_was_sent():
    for message in (
        Ready(plugin="lxd", request="00ff"),
        Joined(stage="enter", facts={"ceph": ({"kind": "Brick", "fact": {"machine": "n1"}},)}),
        Farewell(mood="done", cloud={"id": "x", "members": []}),
    ):
        assert decode(encode(message), type(message)) == message


def test_a_disk_of_four_thousand_digits_is_no_disk():
    """It was one, and to show its size ended in a traceback."""
    disk = {"device": "/dev/sdb", "size": 10**4000}
    node = {"name": "n2", "addresses": ["10.0.0.2"], "survey": {"disks": [disk]}}
    said = {"type": "introduction", "versions": {}, "node": node}
    with pytest.raises(ProtocolError):
        decode(json.dumps(said).encode(), Introduction)
    disk["size"] = 2**60
    assert "TB" in brings(decode(json.dumps(said).encode(), Introduction).node)


def test_a_newer_versions_keys_are_ignored():
    assert decode(b'{"type":"ready","plugin":"lxd","of a newer version":1}', Ready).plugin == "lxd"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"ready"',
        b"{",
        b"{}",
        b'{"type":"unknown"}',
        b'{"type":"ready"}',
        b'{"type":"ready","plugin":7}',
        b'{"type":"ready","plugin":"lxd","plugin":"ceph"}',
        b'{"type":"joined","stage":"enter","facts":{"a":[],"a":[]}}',
        b'{"type":"joined","stage":"found"}',
        b'{"type":"ready","plugin":"lxd","request":"0"}',
        b'{"type":"ready","plugin":"lxd","request":"zz"}',
        b'{"type":"ready","plugin":"\\u001b[31mred"}',
        b'{"type":"ready","plugin":"' + b"x" * 300 + b'"}',
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        '{"type":"ready","plugin":"lxd"}'.encode("utf-16"),
        b'{"type":"failed","stage":"enter","lines":[' + b",".join([b'"x"'] * 201) + b"]}",
    ],
)
def test_nonsense_is_a_protocol_error(raw):
    with pytest.raises(ProtocolError):
        decode(raw, Ready, Joined, Failed)


def test_what_may_not_be_said_now_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="Ready was said where only Go or Token may be said"):
        decode(encode(Ready(plugin="lxd")), Go, Token)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"token","plugin":"lxd","value":["tulip-hammer"]}',
        b'{"type":"tulip-hammer"}',
        b'{"type":"token","plugin":{"tulip-hammer":1},"value":"x"}',
        b'tulip-hammer {"type"',
        b'{"type":"token","plugin":"lxd","value":"tulip-hammer","value":"tulip-hammer"}',
    ],
)
def test_an_error_never_shows_what_was_sent(raw):
    with pytest.raises(ProtocolError) as raised:
        decode(raw, Token)
    assert "tulip" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"
    assert raised.value.__suppress_context__


def test_a_token_is_not_shown():
    assert "tulip" not in repr(Token(plugin="lxd", value="tulip-hammer"))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(raw):
    try:
        decode(raw, Ready)
    except ProtocolError:
        return
    raise AssertionError("random bytes were a message")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inside: (
            st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=10), inside, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_a_message_or_a_protocol_error(shape):
    for raw in (json.dumps(shape), json.dumps({"type": "happening", "happening": shape})):
        with pytest.raises(ProtocolError):
            decode(raw.encode(), Ready, Joined)


def test_a_happening_is_bounded():
    with pytest.raises(ValueError, match="255"):
        Happening(machine="x" * 256, plugin="p", hook="join", about="a", step="s", what="done")


def _defined(file):
    source = (Path(mcloud.session.__file__).parent / file).read_text()
    return [
        line.split("(")[0].removeprefix("    def ")
        for line in source.splitlines()
        if line.startswith("    def ")
    ]


@pytest.mark.parametrize(("file", "column"), [("initiator.py", 0), ("joiner.py", 1)])
def test_both_halves_have_the_scripts_verbs_in_its_order(file, column):
    verbs = [beat[column] for beat in SCRIPT]
    there = [name for name in _defined(file) if name in verbs]
    assert there == verbs


@pytest.mark.parametrize("file", ["initiator.py", "joiner.py"])
def test_the_docstring_of_a_half_names_its_verbs(file):
    column = 0 if file == "initiator.py" else 1
    text = (Path(mcloud.session.__file__).parent / file).read_text()
    assert ", ".join(beat[column] for beat in SCRIPT) in text
