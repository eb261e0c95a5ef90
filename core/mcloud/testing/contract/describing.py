"""What a plugin says of itself: manifest, settings, and what it sees on a machine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from mcloud.answersfile import order_from, tree_of
from mcloud.forms import asked, dump, plain, read
from mcloud.forms.answering import UNSAID, answer
from mcloud.forms.answers import Answers
from mcloud.forms.ask import spoken
from mcloud.forms.interview import Interview
from mcloud.forms.write import yaml
from mcloud.inputs import Inputs
from mcloud.model import DiskChoice, Manifest, Node, ServiceState, Settings
from mcloud.order import Order
from mcloud.prompting import Pick
from mcloud.session.code import FOR_A_FILE, make_code
from mcloud.testing.contract.subject import Subject
from mcloud.testing.folder import memory_folder
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

    def test_every_setting_can_be_typed(self) -> None:
        """What can be set can be said by a person as well."""
        for model, given in self._models():
            whole = model.model_validate(given)
            for name, question in asked(model).items():
                person, said = Scripted(answers=[_typed(getattr(whole, name))]), getattr(whole, name)
                made = answer(person, model.model_fields[name], question.prompt)
                assert not person.complaints, f"an answer is not taken: {'; '.join(person.complaints)}"
                same = made in (UNSAID, said) or spoken(made) == spoken(said)
                assert same, f"{question.prompt}: {spoken(said)} became {spoken(made)}"

    def test_answers_make_a_file_that_gives_the_same_plan(self) -> None:
        """Who answers the questions could have written the file as well."""
        trial, manifest = self._trial(), self._manifest()
        nodes = trial.inputs.nodes
        said: dict[str, str] = {}
        for model, given in self._models():
            whole = model.model_validate(given)
            said |= {ask.prompt: _typed(getattr(whole, name)) for name, ask in asked(model).items()}
        person = Scripted(answers={prompt: text for prompt, text in said.items() if text}, easy=True)
        interview = Interview(
            nodes=nodes, manifests={self.name: manifest}, services=(self.name,), prompter=Typist(person)
        )
        answers = interview.hold()
        if not answers.services:
            return  # left out, as some answer says
        order = Order(command="init", cloud="trial", services=(self.name,))
        tree = tree_of(answers, trial.plugins, nodes, order, code=make_code(FOR_A_FILE))
        read_back = order_from(tree, trial.plugins, order)
        by_answers = trial.inputs.model_copy(update=_settings(self.name, manifest, answers, nodes))
        by_file = trial.inputs.model_copy(
            update={"settings": read_back.settings, "node_settings": read_back.node_settings}
        )
        assert by_file == by_answers, "settings are not the same by answers and by the file made of them"
        assert self._shape(by_file) == self._shape(by_answers), "the plans are not the same"

    def _shape(self, inputs: Inputs) -> dict[str, list[object]]:
        """Return machine by machine what the plan is: keys of its steps and what they destroy."""
        trial = replace(self._trial(), inputs=inputs)
        with memory_folder() as folder:
            walk = trial.walk({name: self.host() for name in trial.machines}, folder)
            return {
                machine: [
                    (key, getattr(step, "destroys", ()))
                    for key, (_lane, step) in walk.plan(machine).steps.items()
                ]
                for machine in trial.machines
            }

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


class Typist:
    """A person who types what the script says, and of tables takes what is picked beforehand."""

    def __init__(self, person: Scripted) -> None:
        """Speak for a scripted person."""
        self._person = person
        self.heading, self.agree = person.heading, person.agree
        self.ask, self.complain = person.ask, person.complain

    def pick(self, pick: Pick) -> tuple[str, ...]:
        """Take what is picked beforehand, if that fits; else nothing."""
        keys = tuple(row.key for row in pick.rows() if row.picked and not row.closed)
        return () if pick.check(keys) else keys


def _typed(value: object) -> str:
    """Return what a person would type; nothing for what cannot be typed on one line, so the default."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    parts = value if isinstance(value, tuple | list) else (value,)
    typable = [isinstance(part, DiskChoice) or not isinstance(part, BaseModel | Mapping) for part in parts]
    return spoken(value) if all(typable) else ""


def _settings(name: str, manifest: Manifest, answers: Answers, nodes: Sequence[Node]) -> dict[str, Any]:
    """Return the settings that the answers are, without any file."""
    wide, own = manifest.settings, manifest.node_settings
    return {
        "settings": {name: plain(wide.model_validate(answers.wide.get(name, {}), by_name=True))}
        if wide
        else {},
        "node_settings": {
            name: {
                node.name: plain(own.model_validate(answers.of(name, node.name), by_name=True))
                for node in nodes
            }
        }
        if own
        else {},
    }
