"""What a model's fields are made of: the only place that takes annotations apart."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from mcloud.forms.document import Place

_SEQUENCES = (tuple, list, set, frozenset)


def parts(annotation: Any) -> Iterator[type]:
    """Yield every class that occurs in an annotation: `tuple[Disk, ...] | None` has tuple, Disk, None."""
    inner = get_args(annotation)
    outer = get_origin(annotation) or annotation
    if isinstance(outer, type):
        yield outer
    for part in inner:
        yield from parts(part)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that occur in an annotation."""
    return (part for part in parts(annotation) if issubclass(part, BaseModel))


def is_secret(annotation: Any) -> bool:
    """Say whether a text given for this annotation is a secret."""
    return any(issubclass(part, SecretStr) for part in parts(annotation))


def is_sequence(annotation: Any) -> bool:
    """Say whether the annotation is for several values."""
    return any(issubclass(part, _SEQUENCES) for part in parts(annotation))


def literals(annotation: Any) -> list[Any]:
    """Return the values of the `Literal` in an annotation; none if there is no such."""
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return list(inner)
    return [value for part in inner for value in literals(part)]


def fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return a model's fields by the key an operator writes."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def candidates(model: type[BaseModel], at: Place) -> list[str]:
    """Return the keys that `model` knows at a place inside it."""
    found = [model]
    for part in at:
        if isinstance(part, str):
            infos = [known[part] for each in found if part in (known := fields(each))]
            found = [below for info in infos for below in models(info.annotation)]
    return [key for each in found for key in fields(each)]


def secrets_given(model: type[BaseModel], tree: Any, at: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield place and text of what stands in `tree`, not yet validated, where `model` has a secret."""
    if isinstance(tree, Mapping):
        for key, info in fields(model).items():
            if key in tree:
                yield from _secrets_in(info.annotation, tree[key], (*at, key))


def _secrets_in(annotation: Any, tree: Any, at: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _secrets_in(annotation, item, (*at, index))
    elif isinstance(tree, Mapping):
        for model in models(annotation):
            yield from secrets_given(model, tree, at)
        if is_secret(annotation):
            yield from ((((*at, key), str(item))) for key, item in tree.items() if item is not None)
    elif tree is not None and is_secret(annotation):
        yield at, str(tree)
