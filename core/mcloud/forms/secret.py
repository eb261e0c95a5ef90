"""Secrets in settings: found by their type, then left out, covered with stars, or shown for a file."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr

from mcloud.forms.document import Place
from mcloud.forms.problems import dotted

M = TypeVar("M", bound=BaseModel)

STARS = "********"
"""What is shown in place of a secret; as a value in a file it is refused."""


def plain(settings: BaseModel, *, show_secrets: bool | None = None, only_set: bool = False) -> dict[str, Any]:
    """Return settings as JSON knows them, by the keys of the file.

    Secrets are None by default, stars if `show_secrets` is False, and in clear if it is True (only for
    a file that none but its owner can read). `only_set` leaves out what nobody said.
    """
    options: dict[str, Any] = {"by_alias": True, "exclude_unset": only_set, "warnings": False}
    seen = settings.model_dump(mode="json", **options)
    shown: dict[str, Any] = _shown(seen, settings.model_dump(mode="python", **options), show_secrets)
    return shown


def secrets(settings: BaseModel | None) -> dict[str, SecretStr]:
    """Return all secrets by field, those inside other models dotted: `auth.password`, `users[0].key`."""
    return {dotted(place): secret for place, secret in _found(settings)}


def without_secrets(settings: M) -> M:
    """Return a copy whose secret fields are None; it is not validated again."""
    stripped: M = _stripped(settings)
    return stripped


def _shown(seen: Any, live: Any, show: bool | None) -> Any:  # noqa: FBT001 - handed through
    """Walk what JSON shows and what is really there side by side; only secrets are taken from the latter."""
    if isinstance(live, SecretStr):
        return None if show is None else live.get_secret_value() if show else STARS
    if isinstance(seen, dict) and isinstance(live, dict) and len(seen) == len(live):
        pairs = zip(seen.items(), live.values(), strict=True)
        return {key: _shown(value, inside, show) for (key, value), inside in pairs}
    if isinstance(seen, list) and isinstance(live, list | tuple) and len(seen) == len(live):
        return [_shown(value, inside, show) for value, inside in zip(seen, live, strict=True)]
    return seen


def _found(value: Any, at: Place = ()) -> Iterator[tuple[Place, SecretStr]]:
    if isinstance(value, SecretStr):
        yield at, value
    for key, inside in _inside(value):
        yield from _found(inside, (*at, key))


def _has_secret(value: Any) -> bool:
    return next(_found(value), None) is not None


def _inside(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield what is one level further in."""
    if isinstance(value, BaseModel):
        yield from ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, Mapping):
        yield from ((str(key), inside) for key, inside in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)


def _stripped(value: Any) -> Any:
    """Return the value itself where no secret is in it."""
    if isinstance(value, SecretStr):
        return None
    if not _has_secret(value):
        return value
    if isinstance(value, BaseModel):
        cleared = {str(name): _stripped(inside) for name, inside in _inside(value) if _has_secret(inside)}
        return value.model_copy(update=cleared)
    if isinstance(value, Mapping):
        return {key: _stripped(inside) for key, inside in value.items()}
    return type(value)(_stripped(inside) for inside in value)
