"""YAML 1.2 text as a plain tree that remembers its lines; the only place that parses YAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mcloud.errors import SettingsError

MAX_BYTES = 1 << 20
"""Longest file that is read, in bytes; a cloud of fifty machines needs some 20 KiB."""

MAX_DEPTH = 24
"""Deepest nesting of mappings and lists."""

Place = tuple[str | int, ...]
"""Where a value is in the tree: keys of mappings, indexes of lists; () is the whole."""

# The core schema of YAML 1.2.2, section 10.3.2. Anything else is text: no dates, no yes and no, no base 60.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 40


class Fault(NamedTuple):
    """What is wrong with the text at one place, in spite of which the rest can be read."""

    place: Place
    line: int
    message: str
    void: bool = False
    """Nothing is known of what should be there."""


@dataclass(frozen=True, slots=True)
class Document:
    """The tree, the line (from 1) of each value by place, and what is wrong with the text."""

    tree: Any
    lines: dict[Place, int]
    faults: tuple[Fault, ...]

    def line(self, place: Place) -> int:
        """Return the line of `place`, or of the closest value around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def scalar(text: str) -> str | int | float | bool | None:
    """Return what a plain (unquoted) scalar means in YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text, 10)
    return float(text) if _FLOAT.fullmatch(text) else text


def parse(text: str, name: str) -> Document:
    """Parse one document; `name` is the file's, for messages.

    Raise `SettingsError` where there is no tree at all; what can be gone on from (a key that is there
    twice, an alias) is in the document's faults, to be reported with the rest.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise SettingsError(f"{name} is larger than {MAX_BYTES >> 20} MiB", hint="is it the right file?")
    try:
        return _Builder(YAML(typ="safe", pure=True).parse(text)).build()
    except MarkedYAMLError as error:
        # Only the problem: the mark's snippet is a piece of the file, and may be a secret.
        mark = error.problem_mark or error.context_mark
        raise not_yaml(name, 1 if mark is None else mark.line + 1, str(error.problem)) from None
    except YAMLError as error:  # the reader's: characters that YAML forbids
        at = getattr(error, "position", 0)
        raise not_yaml(name, text.count("\n", 0, at) + 1, "a character that cannot be in YAML") from None


def not_yaml(name: str, line: int, reason: str) -> SettingsError:
    """Return the error for a text that has no tree."""
    hint = "a value with ': ', ' #' or a leading special character needs quotes; indent by blanks, not tabs"
    return SettingsError(f"{name} is not valid YAML", hint=hint, problems=[f"{name}:{line}: {reason}"])


@dataclass(slots=True)
class _Builder:
    """Builds the tree from the parser's events."""

    events: Iterator[Any]
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def build(self) -> Document:
        tree: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fault((), event, "a second document; the file holds one")
                    break
                if event.version not in {None, (1, 2)}:
                    self._fault((), event, "this file is read as YAML 1.2")
                tree = self._value((), next(self.events))
        return Document(tree, self.lines, tuple(self.faults))

    def _fault(self, place: Place, event: Any, message: str, *, void: bool = False) -> None:
        self.faults.append(Fault(place, event.start_mark.line + 1, message, void))

    def _value(self, place: Place, event: Any) -> Any:
        self.lines.setdefault(place, event.start_mark.line + 1)
        if len(place) > MAX_DEPTH:
            raise MarkedYAMLError(
                problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark
            )
        if isinstance(event, events.AliasEvent):
            self._fault(place, event, "aliases (*name) are not supported; write the value out", void=True)
            return None
        if event.anchor is not None:
            self._fault(place, event, "anchors (&name) are not supported")
        if event.tag is not None and event.tag != "!":
            self._fault(place, event, "tags (!name) are not supported")
        if isinstance(event, events.MappingStartEvent):
            return self._mapping(place)
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence(place)
        return scalar(event.value) if event.implicit[0] else event.value

    def _sequence(self, place: Place) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), events.SequenceEndEvent):
            items.append(self._value((*place, len(items)), event))
        return items

    def _mapping(self, place: Place) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), events.MappingEndEvent):
            if not isinstance(event, events.ScalarEvent):
                raise MarkedYAMLError(problem="a key must be plain text", problem_mark=event.start_mark)
            key, below = event.value, (*place, event.value)
            if key in items:
                first = self.lines[below]
                self._fault(below, event, f"a second time in the same mapping; the first is in line {first}")
                self._value(below, next(self.events))  # for the faults inside it
                continue
            self.lines.setdefault(below, event.start_mark.line + 1)
            items[key] = self._value(below, next(self.events))
        return items
