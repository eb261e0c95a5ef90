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


_CALLED = (
    r"[PpTtSsCcAa](?i:(?<=p)(?:ass(?:word|wd|phrase)|sk|rivate[_-]?key)|(?<=t)oken|(?<=s)ecret"
    r"|(?<=c)redential|(?<=a)(?:pi[_-]?key|ccess[_-]?key))[\w-]*"
)
_LIKE_SECRETS = tuple(
    (re.compile(pattern, re.DOTALL), masked)
    for pattern, masked in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", MASK),
        (r"\bAQ[A-Za-z0-9+/]{36,38}={1,2}", MASK),  # a key of Ceph
        # URLs with a user in them (RFC 3986 section 3.2.1), headers (RFC 9110 section 11.6.2, RFC 6750).
        (r"://[^\s/?#@\"'<>]+@", f"://{MASK}@"),
        (r"[Aa](?i:uthorization\"?\s*[:=]\s*\"?(?:\w+\s+)?[^\s\",;]+)", MASK),
        (r"\b[Bb](?i:earer)\s+[A-Za-z0-9._~+/-]{8,}=*", MASK),
        (r"\b[SsCc](?i:(?<=s)et-cookie|(?<=c)ookie)\"?\s*:\s*[^\r\n]+", MASK),
        # Whatever is called a password, token or secret: in settings, JSON, URLs, and as an option.
        (_CALLED + r"""["']?\s*[:=]\s*["']?[^\s"',}]{6,}""", MASK),
        (r"--[\w-]{0,40}?" + _CALLED + r"""\s+["']?[^\s"'-][^\s"']{3,}""", MASK),
        # Signed JSON, and JSON in base64: LXD's tokens.
        (r"\beyJ[A-Za-z0-9+/_-]{8,}(?:\.[A-Za-z0-9_-]+)*={0,2}", MASK),
    )
)
_WORD = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{20,}(={0,2})(?![\w+/=-])")
_MARKED = re.compile(r"gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AKIA")
"""How tokens of well-known services begin."""
_LONG = 32
"""Characters; of what is as long and has capitals, small letters and digits, nobody thinks by himself."""


def mask_unknown(text: str) -> str:
    """Return a text with `MASK` in place of what looks like a secret that nobody told us of.

    Rather too much than too little: it is for what leaves the machine.
    """
    for pattern, masked in _LIKE_SECRETS:
        text = pattern.sub(masked, text)
    return _WORD.sub(lambda found: MASK if _is_token(found[0], padded=bool(found[1])) else found[0], text)


def _is_token(word: str, *, padded: bool) -> bool:
    """Whether a word is base64, or a token; not a name, a path, or a number in hex."""
    if _MARKED.match(word):
        return True
    mixed = all(any(map(kind, word)) for kind in (str.isupper, str.islower, str.isdigit))
    plain = word.isalnum() or ("+" in word and not {*word} & {*"_-"})
    return mixed and (padded or (plain and len(word) >= _LONG))


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
