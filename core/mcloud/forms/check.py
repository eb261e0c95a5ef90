"""Checks one piece of the file against one model, and says what is wrong where the operator wrote it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcloud.forms.document import Place
from mcloud.forms.problems import Problems, did_you_mean
from mcloud.forms.shape import candidates, secrets_given
from mcloud.secrets import Secrets

M = TypeVar("M", bound=BaseModel)

# Pydantic speaks to programmers; these are the mistakes operators make.
_PLAIN_WORDS = {
    "missing": "missing",
    "string_type": "should be text (numbers, true and false need quotes)",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "model_type": "should be a mapping (key: value)",
    "model_attributes_type": "should be a mapping (key: value)",
    "dict_type": "should be a mapping (key: value)",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
}


_SUBJECT = re.compile(r"^(Input|String|Value|Tuple|List|Set|Dictionary|Data) should")


@dataclass(frozen=True, slots=True)
class Piece:
    """A tree, and for each place inside it the place in the file it was written at."""

    tree: Any
    origins: Mapping[Place, Place] = field(default_factory=dict)

    def origin(self, at: Place) -> Place:
        """Return where in the file `at` was written, or would have been."""
        known = at
        while known and known not in self.origins:
            known = known[:-1]
        return (*self.origins.get(known, ()), *at[len(known) :])


def piece(tree: Any, place: Place) -> Piece:
    """Return a tree that stands in the file at `place` as it is; null, as in `ovn:`, is an empty mapping."""
    tree = {} if tree is None else tree
    return Piece(tree, {at: (*place, *at) for at in _places(tree)})


def overlay(below: Piece, above: Piece, at: Place = ()) -> Piece:
    """Lay one piece over another, key by key; lists and single values are replaced."""
    low, high = below.tree, above.tree
    if not (isinstance(low, Mapping) and isinstance(high, Mapping)):
        return Piece(high, {place: above.origin((*at, *place)) for place in _places(high)})
    tree: dict[str, Any] = {}
    origins: dict[Place, Place] = {(): above.origin(at)}
    for key in (*low, *(key for key in high if key not in low)):
        inside = (*at, key)
        if key not in high:
            laid = Piece(low[key], {place: below.origin((*inside, *place)) for place in _places(low[key])})
        else:
            laid = overlay(Piece(low.get(key), below.origins), Piece(high[key], above.origins), inside)
        tree[key] = laid.tree
        origins |= {(key, *place): origin for place, origin in laid.origins.items()}
    return Piece(tree, origins)


def check(model: type[M], given: Piece, problems: Problems, *, partial: bool = False) -> M | None:
    """Return the model made of a piece, or None after noting everything that is wrong with it.

    A `partial` piece is completed elsewhere (`each`, under the machines): what is missing is not wrong.
    """
    secrets = dict(secrets_given(model, given.tree))
    hidden = Secrets()
    for secret in secrets.values():
        hidden.add(secret)
    stars = [place for place, text in secrets.items() if text and not text.strip("*")]
    for place in stars:
        problems.add(given.origin(place), "stars stand for a secret that was not shown; write the secret")
    try:
        made = model.model_validate(given.tree)
    except ValidationError as error:
        for place, message in explain(model, given.tree, error, partial=partial):
            problems.add(given.origin(place), hidden.mask(message))
        return None
    return None if stars else made


def explain(
    model: type[BaseModel], tree: Any, error: ValidationError, *, partial: bool = False
) -> list[tuple[Place, str]]:
    """Return where in the tree each mistake is, and what it is in an operator's words."""
    mistakes = error.errors(include_url=False)
    return [
        _explained(model, tree, mistake) for mistake in mistakes if not (partial and _unfinished(mistake))
    ]


def words(mistake: Mapping[str, Any]) -> str:
    """Return what one of pydantic's errors says, in an operator's words."""
    kind, message = mistake["type"], str(mistake["msg"])
    if kind in {"value_error", "assertion_error"}:  # a model's own words, after pydantic's two
        return message.partition(", ")[2]
    return _PLAIN_WORDS.get(kind, _SUBJECT.sub("should", message))


def _places(tree: Any) -> Iterator[Place]:
    """Yield the place of every value in a tree, () for the tree itself."""
    yield ()
    inside = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inside:
        yield from ((key, *place) for place in _places(value))


def _unfinished(mistake: Mapping[str, Any]) -> bool:
    """Say whether a mistake may be only that the rest is elsewhere; inside a list nothing is."""
    inside_list = any(isinstance(part, int) for part in mistake["loc"])
    whole = mistake["type"] in {"value_error", "assertion_error"} and isinstance(mistake["input"], Mapping)
    return not inside_list and (mistake["type"] == "missing" or whole)


def _explained(model: type[BaseModel], tree: Any, mistake: Mapping[str, Any]) -> tuple[Place, str]:
    place: Place = ()
    for part in mistake["loc"]:  # holds names of validators and of a union's members, too
        if part in _keys(tree):
            place, tree = (*place, part), tree[part]
    if mistake["type"] == "missing":
        place = (*place, mistake["loc"][-1])
    if mistake["type"] == "extra_forbidden":
        return place, "unknown key" + did_you_mean(str(mistake["loc"][-1]), candidates(model, place[:-1]))
    return place, words(mistake)


def _keys(tree: Any) -> Any:
    return tree.keys() if isinstance(tree, Mapping) else range(len(tree)) if isinstance(tree, list) else ()
