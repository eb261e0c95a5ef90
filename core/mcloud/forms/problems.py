"""All that is wrong with a file, each with its line and key, raised as one error."""

from collections.abc import Iterable
from difflib import get_close_matches

from mcloud.errors import SettingsError
from mcloud.forms.document import Document, Place

_LONGEST_KEY = 60


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` where a known word is close, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def dotted(place: Place) -> str:
    """Return a place as people write it, `ceph.disks[0].path`; bounded, without control characters."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part.isprintable() else ascii(part)
            text += "." * bool(text) + (shown if len(shown) <= _LONGEST_KEY else shown[:_LONGEST_KEY] + "…")
    return text


class Problems:
    """Collects what is wrong with one document; one row for each line and key."""

    def __init__(self, name: str, document: Document) -> None:
        """Start with what is wrong with the text itself; `name` is the file's."""
        self.name = name
        self._document = document
        self._rows: dict[tuple[int, str], list[str]] = {}
        self._broken = {fault.place for fault in document.faults}
        self._void = {fault.place for fault in document.faults if fault.void}
        for fault in document.faults:
            self._rows.setdefault((fault.line, dotted(fault.place)), []).append(fault.message)

    def add(self, place: Place, message: str, *, void: bool = False) -> None:
        """Note what is wrong at a place; the same said twice is said once.

        Of what is broken as text nothing more is said, nor of anything inside a place that is `void`.
        """
        if place in self._broken or any(place[:end] in self._void for end in range(len(place) + 1)):
            return
        said = self._rows.setdefault((self._document.line(place), dotted(place)), [])
        if message not in said:
            said.append(message)
        if void:
            self._void.add(place)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def error(self) -> SettingsError:
        """Return the error that holds all problems, in the order of the file."""
        rows = sorted(self._rows.items(), key=lambda row: row[0][0])
        texts = [f"{self.name}:{line}{' ' * bool(key)}{key}: {'; '.join(said)}" for (line, key), said in rows]
        count = "one mistake" if len(texts) == 1 else f"{len(texts)} mistakes"
        hint = "correct the file; nothing was changed (`mcloud example` prints one with every key)"
        return SettingsError(f"{self.name} has {count}", hint=hint, problems=texts)
