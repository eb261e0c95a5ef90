"""One answer to one question: put, checked with the field's own type, and put again with the reason."""

from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from mcloud.forms.ask import spoken
from mcloud.forms.check import words
from mcloud.forms.secret import STARS
from mcloud.forms.shape import is_secret, is_sequence, literals, parts
from mcloud.prompting import Prompter

UNSAID = object()
"""The answer that leaves a field at its default."""

NONE = "none"
"""What is typed to take a default away."""

NONE_HINT = f" (or {NONE})"
"""Behind a prompt whose default can be taken away."""


def answer(
    prompter: Prompter,
    info: FieldInfo,
    prompt: str,
    *,
    default: Any = UNSAID,
    suggestions: Sequence[Any] = (),
    fits: Callable[[Any], str] = lambda _value: "",
    otherwise: str = "",
) -> Any:
    """Ask until the answer fits; return it checked, or `UNSAID`.

    `default` is what an empty answer means, `UNSAID` for the field's own. `fits` says why a value of
    the right type is not taken.
    """
    adapter = TypeAdapter[Any](info.rebuild_annotation())
    while True:
        given = _given(prompter, info, prompt, default=default, suggestions=suggestions, otherwise=otherwise)
        try:
            value = UNSAID if given is UNSAID else adapter.validate_python(given)
        except ValidationError as error:
            for reason in dict.fromkeys(words(mistake) for mistake in error.errors(include_url=False)):
                prompter.complain(_hidden(info, reason, given))
            continue
        if reason := fits(value):
            prompter.complain(_hidden(info, reason, given))
            continue
        return value


def own_default(info: FieldInfo) -> Any:
    """Return a field's default, None if it has none."""
    return None if info.is_required() else info.get_default(call_default_factory=True)


def is_yes_or_no(info: FieldInfo) -> bool:
    """Say whether a field is answered by yes or no."""
    return {bool} <= set(parts(info.annotation)) <= {bool, NoneType}


def _given(
    prompter: Prompter,
    info: FieldInfo,
    prompt: str,
    *,
    default: Any,
    suggestions: Sequence[Any],
    otherwise: str,
) -> Any:
    """Ask once; return what was said, not checked yet."""
    meant = own_default(info) if default is UNSAID else default
    if is_yes_or_no(info):
        said = prompter.agree(prompt, default=bool(meant), otherwise=otherwise)
        return UNSAID if default is UNSAID and said == meant else said
    offered = {spoken(choice): choice for choice in suggestions} or {
        spoken(choice): choice for choice in literals(info.annotation) if choice is not None
    }
    shown = spoken(meant)
    removable = _removable(info) and bool(shown) and NONE not in offered
    text = prompter.ask(
        f"{prompt}{NONE_HINT}" if removable else prompt,
        default=shown,
        choices=tuple(offered),
        secret=is_secret(info.annotation),
        otherwise=otherwise,
    ).strip()
    if not text or (text == shown and default is UNSAID and shown):
        return "" if info.is_required() and default is UNSAID else default
    if removable and text == NONE:
        return () if is_sequence(info.annotation) else None
    if is_sequence(info.annotation):
        listed = [part.strip() for part in text.split(",") if part.strip()]
        return [offered.get(part, part) for part in listed]
    return offered.get(text, text)


def _removable(info: FieldInfo) -> bool:
    return is_sequence(info.annotation) or NoneType in parts(info.annotation)


def _hidden(info: FieldInfo, reason: str, given: Any) -> str:
    said = given if isinstance(given, str) else ""
    return reason.replace(said, STARS) if said and is_secret(info.annotation) else reason
