"""Questions for settings: `Ask` says how a field is asked, `fill` asks and checks what is answered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from mcloud.errors import SettingsError
from mcloud.forms.check import explain, words
from mcloud.forms.problems import dotted
from mcloud.forms.secret import STARS
from mcloud.forms.shape import is_secret, is_sequence
from mcloud.model import Settings, Survey
from mcloud.prompting import Prompter

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Ask:
    """How one field is asked: metadata of the field, `Annotated[str, Ask("What shall machines say")]`."""

    prompt: str
    choices: Callable[[Survey], Sequence[Any]] | None = None
    """What this machine offers; other answers are taken too, if the field's type takes them."""
    when: Callable[[Mapping[str, Any]], bool] | None = None
    """Whether to ask at all, by the answers so far (checked, by field); if not, the default holds."""


def asked(model: type[Settings]) -> dict[str, Ask]:
    """Return the fields of a model that can be asked, in their order."""
    marks = {name: info.metadata for name, info in model.model_fields.items()}
    return {name: mark for name, found in marks.items() for mark in found if isinstance(mark, Ask)}


def fill(model: type[S], prompter: Prompter, survey: Survey, known: Mapping[str, Any] | None = None) -> S:
    """Ask for every field with `Ask` that is not `known` (values by field), and return the settings.

    Each answer is checked with the field's own type and asked again until it fits; what fits by itself
    and not together is asked again too. Raise `SettingsError` if what was known is what is wrong.
    """
    answers: dict[str, Any] = dict(known or {})
    waiting = {name: question for name, question in asked(model).items() if name not in answers}
    while True:
        put: set[str] = set()
        for name, question in waiting.items():
            if question.when is None or question.when(answers):
                put.add(name)
                answer = _answer(model.model_fields[name], question, prompter, survey)
                answers |= {} if answer is _DEFAULT else {name: answer}
        try:
            return model.model_validate(answers, by_name=True)
        except ValidationError as error:
            wrong = explain(model, answers, error)
        again = {name for name in put if any(place[:1] in {(name,), ()} for place, _ in wrong)}
        reasons = [f"{dotted(place)}: {reason}".removeprefix(": ") for place, reason in wrong]
        if not again:
            raise SettingsError(
                f"settings do not fit: {'; '.join(reasons)}", problems=reasons, hint="correct what was given"
            )
        for reason in reasons:
            prompter.complain(reason)
        waiting = {name: question for name, question in waiting.items() if name in again or name not in put}
        answers = {name: value for name, value in answers.items() if name not in again}


_DEFAULT = object()


def _answer(info: FieldInfo, question: Ask, prompter: Prompter, survey: Survey) -> Any:
    """Ask until the answer fits the field's type; return `_DEFAULT` for an empty one, where there is one."""
    adapter = TypeAdapter[Any](info.rebuild_annotation())
    offered = {spoken(choice): choice for choice in (question.choices(survey) if question.choices else ())}
    default = "" if info.is_required() else spoken(info.get_default(call_default_factory=True))
    while True:
        text = prompter.ask(question.prompt, default=default, choices=tuple(offered)).strip()
        if not text and not info.is_required():
            return _DEFAULT
        parts = [part.strip() for part in text.split(",") if part.strip()]
        answer = (
            [offered.get(part, part) for part in parts]
            if is_sequence(info.annotation)
            else offered.get(text, text)
        )
        try:
            return adapter.validate_python(answer)
        except ValidationError as error:
            found = error.errors(include_url=False)
        for reason in dict.fromkeys(words(mistake) for mistake in found):
            prompter.complain(reason.replace(text, STARS) if text and is_secret(info.annotation) else reason)


def spoken(value: Any) -> str:
    """Return a value as a person would type it as an answer; nothing for a secret or for None."""
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(spoken, value))
    return str(value)
