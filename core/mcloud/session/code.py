"""Codes: words that people read out to each other, and how what they typed is made alike."""

import re
import secrets
import unicodedata
from functools import cache
from importlib import resources

from pydantic import SecretStr

FOR_A_SESSION = 4
"""Words of a code that is made for one session: 41 bits, far more than its thousand guesses can find."""
FOR_A_FILE = 6
"""Words of a code that lies in a file (`mcloud code`) until it is used."""


def make_code(words: int = FOR_A_SESSION) -> SecretStr:
    """Make a code of so many words, each one of 1296 (EFF's short list), by the system's own randomness."""
    return SecretStr(" ".join(secrets.choice(_words()) for _ in range(words)))


def normalised(code: str) -> SecretStr:
    """Return a code as both sides compare it: NFKC, lower case, blanks and hyphens as one blank."""
    lower = unicodedata.normalize("NFKC", code).lower()
    text = unicodedata.normalize("NFKC", lower)
    return SecretStr(re.sub(r"[\s\-\u2010-\u2015]+", " ", text).strip())


def drawn(code: str) -> bool:
    """Return whether a code looks like one that `make_code(FOR_A_FILE)` drew, and not like a person's own."""
    words = normalised(code).get_secret_value().replace("yo yo", "yo-yo").split()
    return len(words) >= FOR_A_FILE and set(words) <= set(_words())


@cache
def _words() -> tuple[str, ...]:
    return tuple(resources.files("mcloud.session").joinpath("words.txt").read_text(encoding="ascii").split())
