"""What a plugin says of itself: manifest, settings, and what it sees on a machine."""

from collections.abc import Mapping
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from mcloud.forms import asked, dump, fill, plain, read
from mcloud.forms.ask import spoken
from mcloud.forms.write import yaml
from mcloud.model import ServiceState, Settings
from mcloud.testing.contract.subject import Subject
from mcloud.testing.prompts import Scripted


class Describing(Subject):
    """The hooks that describe."""

    def test_it_fits_this_mcloud(self) -> None:
        """Registers: all hooks and arguments are known, there is a manifest, and the API is ours."""
        manifest = self._manifest()
        assert manifest.summary, "the manifest has no summary"
        volatile = [kind.__name__ for kind in manifest.facts if kind.volatile]
        assert not volatile, f"facts travel and are stored, {volatile[0]} must not be"

    def test_every_setting_is_described_and_can_be_asked(self) -> None:
        """No setting is known to its author only."""
        for model, _given in self._models():
            questions = asked(model)
            for name, info in model.model_fields.items():
                assert info.description, f"{model.__name__}.{name} has no description"
                assert name in questions, f"{model.__name__}.{name} cannot be asked: annotate it with Ask"
                kinds = {info.annotation, *get_args(info.annotation)}
                if kinds & {SecretStr, SecretBytes}:
                    assert type(None) in kinds, (
                        f"{model.__name__}.{name}: plan hooks see it as None, so say so"
                    )

    def test_settings_survive_the_file(self) -> None:
        """What is written to the file comes back the same."""
        plugins, manifest = self._plugins(), self._manifest()
        services, nodes = plugins.services, self._trial().inputs.nodes
        own = {self.name: dict(self.node_settings)} if manifest.node_settings else {}
        tree: Mapping[str, Any] = {
            "mcloud": 1,
            "cloud": {"name": "trial", "initiator": "n1", "network": "10.0.0.0/24"},
            self.name: dict(self.settings),
            "machines": {node.name: {"address": node.address, **own} for node in nodes},
        }
        once = read(yaml(tree), "trial.yaml", plugins.manifests, services=services)
        text = dump(once, show_secrets=True)
        again = read(text, "trial.yaml", plugins.manifests, services=services)
        assert again == once, "settings are not the same after they were written to a file and read back"

    def test_answers_make_a_file_that_reads_back_the_same(self) -> None:
        """Who answers the questions could have written the file as well."""
        for model, given in self._models():
            whole = model.model_validate(given)
            answers = {
                question.prompt: _answer(getattr(whole, name)) for name, question in asked(model).items()
            }
            person = Scripted(answers=answers)
            filled = fill(model, person, self.survey())
            assert not person.complaints, f"an answer is not taken: {'; '.join(person.complaints)}"
            assert model.model_validate(plain(filled, show_secrets=True)) == filled

    def test_unknown_keys_are_refused(self) -> None:
        """A misspelt key is never silently ignored."""
        for model, given in self._models():
            with pytest.raises(ValidationError):
                model.model_validate({**given, "surely_unknown": 1})
            assert model.model_json_schema()["additionalProperties"] is False, model.__name__

    def test_inspecting_changes_nothing(self) -> None:
        """`inspect` reads only, and bears a fresh machine."""
        plugins, host = self._plugins(), self.host()
        if self.name not in plugins.having("inspect"):
            return
        before = self.world(host)
        state = plugins.inspect(self.name, host=host)
        assert state is None or isinstance(state, ServiceState), "inspect returns a ServiceState or None"
        assert self.world(host) == before, "inspect changed the machine"

    def _models(self) -> list[tuple[type[Settings], Mapping[str, Any]]]:
        manifest = self._manifest()
        both = ((manifest.settings, self.settings), (manifest.node_settings, self.node_settings))
        return [(model, given) for model, given in both if model is not None]


def _answer(value: object) -> str:
    """Return what a person would type; nothing for what cannot be typed on one line, so the default."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    parts = value if isinstance(value, tuple | list) else (value,)
    return "" if any(isinstance(part, BaseModel | Mapping) for part in parts) else spoken(value)
