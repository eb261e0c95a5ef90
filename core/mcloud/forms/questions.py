"""The questions of plugins: which there are, in which order, and which of them to put again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mcloud.errors import SettingsError
from mcloud.forms.ask import Ask, Topic, asked
from mcloud.forms.check import explain
from mcloud.forms.problems import dotted
from mcloud.model import Manifest, Settings


@dataclass(frozen=True)
class Question:
    """One field of one plugin."""

    plugin: str
    model: type[Settings]
    name: str
    info: FieldInfo
    ask: Ask
    own: bool
    """Whether each machine has its own answer."""

    @property
    def otherwise(self) -> str:
        """How the answer is given in a file."""
        place = f"machines: NAME: {self.plugin}" if self.own else self.plugin
        return f"`{place}: {self.name}:` in a file for `mcloud preseed`"


def questions(manifests: Mapping[str, Manifest], services: Sequence[str]) -> list[Question]:
    """Return what these services ask, in the order in which it is asked."""
    found = [
        Question(plugin, model, name, model.model_fields[name], ask, own)
        for plugin in services
        for own, model in ((False, manifests[plugin].settings), (True, manifests[plugin].node_settings))
        if model is not None
        for name, ask in asked(model).items()
    ]
    topics = list(Topic)
    return sorted(found, key=lambda one: (topics.index(one.ask.topic), one.plugin, one.ask.order))


def misfits(
    model: type[Settings],
    values: Mapping[str, Any],
    put: Sequence[Question],
    complain: Callable[[str], None],
) -> list[Question]:
    """Complain of what fits by itself and not together; return what to ask again.

    Raise SettingsError for what no answer can put right.
    """
    try:
        model.model_validate(values, by_name=True)
    except ValidationError as error:
        wrong = explain(model, values, error)
    else:
        return []
    reasons = [f"{dotted(place)}: {reason}".removeprefix(": ") for place, reason in wrong]
    again = [one for one in put if any(place[:1] in {(one.name,), ()} for place, _ in wrong)]
    if not again:
        raise SettingsError("settings do not fit", problems=reasons, hint="give them in a file")
    for reason in reasons:
        complain(reason)
    return again
