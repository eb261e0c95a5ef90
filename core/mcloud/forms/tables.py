"""Settings of machines that are answered out of a table: all machines at once, nothing offered twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from mcloud.forms.ask import Ask, Choice, spoken
from mcloud.forms.check import words
from mcloud.forms.offered import DISK_COLUMNS, find_disk, holds
from mcloud.forms.shape import is_sequence, models
from mcloud.model import DiskChoice, Node
from mcloud.prompting import Pick, Prompter, Row

Taken = Mapping[tuple[str, str], str]
"""What is used up: its role by machine and resource."""

WHICH_WIPED = "Which of these may be wiped? All that is on them is lost for good"
WHICH_ENCRYPTED = "Which of these are to be encrypted?"


@dataclass
class Table:
    """One question to all machines that have something to offer."""

    prompter: Prompter
    nodes: Sequence[Node]
    info: FieldInfo
    ask: Ask
    taken: Taken
    fits: Callable[[Mapping[str, Any]], str]
    """Why these answers, by machine, are not taken; "" if they are."""
    former: Mapping[str, Any] | None
    """Answers of an earlier round by machine, picked beforehand; None in the first."""
    otherwise: str = ""
    offers: dict[str, tuple[Node, Choice]] = field(init=False)

    def __post_init__(self) -> None:
        choices = self.ask.choices or (lambda _node: ())
        self.offers = {
            f"{node.name}:{spoken(choice.value)}": (node, choice)
            for node in self.nodes
            for choice in map(_choice, choices(node))
        }

    @property
    def open(self) -> bool:
        """Whether there is anything to be picked."""
        return any(not self._closed(*offer) for offer in self.offers.values())

    @property
    def _of_disks(self) -> bool:
        return DiskChoice in models(self.info.annotation)

    def why_closed(self) -> str:
        """Return in words why there is nothing to be picked."""
        reasons = [
            f"{node.name} {spoken(choice.value)}: {self._closed(node, choice)}"
            for node, choice in self.offers.values()
        ]
        return "; ".join(reasons) or "no machine has any"

    def put(self) -> dict[str, Any]:
        """Ask until the answer fits; return values by machine, of those that gave one."""
        keys: Sequence[str] = self._before()
        wiped = {key for key in keys if self._was(key, "wipe")}
        while True:
            keys = self._pick(keys)
            if not self._of_disks:
                return self._checked(self._raw(keys, {}))
            wiped = self._wiped(keys, wiped)
            if kept := [key for key in self._full(keys) if key not in wiped]:
                for key in kept:
                    self.prompter.complain(f"{self._said(key)} and may not be wiped: it cannot be used")
                continue
            encrypted = self._encrypted(keys)
            more = {key: {"wipe": key in wiped, "encrypt": key in encrypted} for key in keys}
            return self._checked(self._raw(keys, more))

    def resources(self, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Yield machine and resource of all that these answers use up."""
        for node, choice in self.offers.values():
            if choice.resource and spoken(choice.value) in map(spoken, _listed(values.get(node.name))):
                yield node.name, choice.resource

    # ---- the parts ------------------------------------------------------------------------------------

    def _before(self) -> list[str]:
        """Return what is picked beforehand."""
        open_ = [key for key, offer in self.offers.items() if not self._closed(*offer)]
        if self.former is None:
            return [key for key in open_ if self.offers[key][1].picked]
        said = {f"{name}:{spoken(one)}" for name, value in self.former.items() for one in _listed(value)}
        return [key for key in open_ if key in said]

    def _was(self, key: str, what: str) -> bool:
        """Say whether a disk was to be wiped (encrypted) by the earlier answer."""
        node, choice = self.offers[key]
        former = _listed((self.former or {}).get(node.name))
        return any(spoken(one) == spoken(choice.value) and getattr(one, what, False) for one in former)

    def _closed(self, node: Node, choice: Choice) -> str:
        role = self.taken.get((node.name, choice.resource)) if choice.resource else None
        return choice.closed or (f"taken for {role}" if role else "")

    def _rows(self, keys: Iterable[str], picked: Iterable[str]) -> list[Row]:
        chosen = set(picked)
        return [
            Row(
                key=key,
                cells=(node.name, *(choice.cells or (spoken(choice.value),))),
                group=node.name,
                picked=key in chosen,
                closed=self._closed(node, choice),
            )
            for key, (node, choice) in self.offers.items()
            if key in set(keys)
        ]

    def _pick(self, picked: Sequence[str]) -> Sequence[str]:
        rows = self._rows(self.offers, picked)
        single = not is_sequence(self.info.annotation)
        pick = self._question(self.ask.prompt, rows, per_group=1 if single else None, check=self._unfit)
        return self.prompter.pick(pick)

    def _question(
        self,
        question: str,
        rows: Sequence[Row],
        *,
        per_group: int | None = None,
        check: Callable[[Sequence[str]], str] = lambda _keys: "",
    ) -> Pick:
        usual = DISK_COLUMNS if self._of_disks else ("CHOICE",)
        columns = ("MACHINE", *(self.ask.columns or usual))
        return Pick(
            question=question,
            columns=columns,
            rows=lambda: rows,
            per_group=per_group,
            check=check,
            otherwise=self.otherwise,
        )

    def _unfit(self, keys: Sequence[str]) -> str:
        try:
            return self.fits(self._checked(self._raw(keys, {})))
        except ValueError as error:
            return str(error)

    def _raw(self, keys: Sequence[str], more: Mapping[str, Mapping[str, bool]]) -> dict[str, list[Any]]:
        """Return the values that stand behind the keys, by machine; disks with what may be done to them."""
        values: dict[str, list[Any]] = {}
        for key in keys:
            node, choice = self.offers[key]
            said = {name: True for name, yes in more.get(key, {}).items() if yes}
            value = {"path": choice.value, **said} if said else choice.value
            values.setdefault(node.name, []).append(value)
        return values

    def _checked(self, raw: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Return the values as the field's type makes them. Raises ValueError with the reasons."""
        adapter = TypeAdapter[Any](self.info.rebuild_annotation())
        several = is_sequence(self.info.annotation)
        try:
            return {
                name: adapter.validate_python(values if several else values[0])
                for name, values in raw.items()
            }
        except ValidationError as error:
            reasons = dict.fromkeys(words(mistake) for mistake in error.errors(include_url=False))
            raise ValueError("; ".join(reasons)) from None

    # ---- disks ----------------------------------------------------------------------------------------

    def _held(self, key: str) -> str:
        node, choice = self.offers[key]
        disk = find_disk(node, DiskChoice(path=choice.value))
        return holds(disk) if disk else ""

    def _said(self, key: str) -> str:
        node, choice = self.offers[key]
        name = (choice.cells or (spoken(choice.value),))[0]
        return f"{name} of {node.name} holds {self._held(key)}"

    def _full(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if self._held(key)]

    def _wiped(self, keys: Sequence[str], before: Iterable[str]) -> set[str]:
        full = self._full(keys)
        if not full:
            return set()
        rows = self._rows(full, before)
        return set(self.prompter.pick(self._question(WHICH_WIPED, rows)))

    def _encrypted(self, keys: Sequence[str]) -> set[str]:
        able = [key for key in keys if "dm-crypt" in self.offers[key][0].survey.abilities]
        if not self.ask.encrypts or not able:
            return set()
        rows = self._rows(able, [key for key in able if self._was(key, "encrypt")])
        return set(self.prompter.pick(self._question(WHICH_ENCRYPTED, rows)))


def _choice(offered: Any) -> Choice:
    return offered if isinstance(offered, Choice) else Choice(offered)


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
