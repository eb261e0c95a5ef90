"""Values that must never be seen: in arguments, logs, journals, tracebacks or open files."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from urllib.parse import quote

from pydantic import SecretStr

MASK = "***"

SHORTEST = 6
"""Characters; masking anything shorter would garble every message and hide nothing."""

_SHORTEST_LINE = 16
"""Characters; a line of a key is longer, and what is shorter ("}", "key:") is no secret by itself."""


class Secrets:
    """A set of secret values, which it finds and masks in texts; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: str | bytes | SecretStr | None) -> None:
        """Never let this be seen again; None and values shorter than `SHORTEST` are left out."""
        forms = {form for form in _forms(value) if len(form) >= SHORTEST}
        with self._lock:
            if forms <= self._forms:
                return
            self._forms |= forms
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def found_in(self, text: str | bytes) -> bool:
        """Tell whether a secret is in a text, also one escaped as in JSON or in an URL."""
        pattern = self._pattern
        return pattern is not None and pattern.search(_text(text)) is not None

    def mask(self, text: str) -> str:
        """Return the text with `MASK` in place of every secret."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)

    def __repr__(self) -> str:
        return f"Secrets({len(self._forms)} hidden)"


def _text(value: str | bytes) -> str:
    """Read bytes so that the same bytes always give the same characters, wherever they stand."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _forms(value: str | bytes | SecretStr | None) -> Iterator[str]:
    """Give every way in which a value may turn up in a text."""
    if value is None:
        return
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        yield value.hex()
        yield base64.b64encode(value).decode().rstrip("=")
    text = _text(value).strip()
    yield from _escaped(text)
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1:
        # A tool's message is cut at line ends, so that a key may turn up in part.
        for line in lines:
            if len(line) >= _SHORTEST_LINE and not line.startswith("-----"):
                yield from _escaped(line)


def _escaped(text: str) -> Iterator[str]:
    """Give a text as it is, in JSON, in JSON inside JSON (a message about a message), and in an URL."""
    if len(text) < SHORTEST:
        return
    yield text
    yield quote(text, safe="")
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
