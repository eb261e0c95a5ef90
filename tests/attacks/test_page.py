"""The protocol's page names tests for what it claims: they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_protocol_names_exists():
    page = (ROOT / "core" / "PROTOCOL.md").read_text()
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    there = [name for text in files.values() for name in re.findall(r"^ *def (test_\w+)", text, re.MULTILINE)]
    named = re.findall(r"`(test_\w+(?:…|\.py)?)`", page)
    assert len(named) > 20
    for name in named:
        start = name.removesuffix("…")
        assert start in files or any(
            one == name or (name != start and one.startswith(start)) for one in there
        ), f"core/PROTOCOL.md names {name}"
