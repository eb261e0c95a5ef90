"""A cloud whose settings are asked for when the machines have come, in memory from end to end."""

from functools import partial
from typing import Annotated

import pytest
from pydantic import Field

from mcloud import Ask, Check, Manifest, Settings, Step, hookimpl
from mcloud.plugins import Plugins
from mcloud.questionnaire import CHANGE_ALL, Questionnaire
from mcloud.secrets import Secrets
from mcloud.testing import FakeCloud, Scripted

WORD, COLOUR = "Which word?", "Which colour does each machine get?"
COLOURS = "n1:n1-blue n2:red"


class Words(Settings):
    word: Annotated[str, Ask(WORD)] = Field(default="hello", description="Word")


class Colours(Settings):
    colour: Annotated[str | None, Ask(COLOUR, choices=lambda node: ["red", f"{node.name}-blue"])] = Field(
        default=None, description="Colour"
    )


def _write(text, ctx):
    ctx.host.write("/said", text)


def _seen(text, ctx):
    return () if ctx.host.read("/said") == text else None


def _remove(ctx):
    ctx.host.write("/said", None)


class Sayer:
    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Says", settings=Words, node_settings=Colours)

    @hookimpl
    def preflight(self, settings):
        if settings.word == "bad":
            yield Check(level="error", message="that is a bad word", hint="say another")

    @hookimpl
    def join(self, node, settings, node_settings):
        text = f"{settings.word} {node_settings[node.name].colour}"
        yield Step(name="say", run=partial(_write, text), probe=partial(_seen, text), undo=_remove)


@pytest.fixture
def asked_cloud(tmp_path):
    """Return a function that makes a cloud of three and the questionnaire that completes its order."""
    clouds = []

    def make(answers):
        person = Scripted(answers)
        questionnaire = Questionnaire(plugins=Plugins.of(sayer=Sayer()), known=Secrets(), prompter=person)
        cloud = FakeCloud(
            3,
            folder=tmp_path,
            plugins={"sayer": Sayer()},
            complete=questionnaire,
            typed={"name": "test"},
        )
        clouds.append(cloud)
        return cloud, questionnaire, person

    yield make
    for cloud in clouds:
        cloud.__exit__()


def test_what_is_answered_is_what_every_machine_does(asked_cloud):
    cloud, questionnaire, person = asked_cloud(["bad", COLOURS, "yes", "good", COLOURS])
    cloud.form().good()
    assert person.asked == [WORD, COLOUR, CHANGE_ALL, WORD, COLOUR]
    assert person.complaints == ["test: that is a bad word (say another)"]
    said = {name: machine.host.read("/said") for name, machine in cloud.machines.items()}
    assert said == {"n1": "good n1-blue", "n2": "good red", "n3": "good None"}
    assert questionnaire.tree["machines"]["n2"]["sayer"] == {"colour": "red"}


def test_a_run_that_goes_on_asks_nothing_again(asked_cloud):
    cloud, _questionnaire, person = asked_cloud(["good", COLOURS])
    cloud.kill_at("n1", 4)
    assert cloud.form().good().killed == ("n1",)
    assert person.asked == [WORD, COLOUR]
    assert cloud["n3"].host.read("/said") == "good None"


def test_a_no_at_the_end_changes_nothing_and_the_answers_are_still_there(asked_cloud):
    cloud, questionnaire, _person = asked_cloud(["good", "none"])
    cloud["n1"].person.confirms = False
    outcome = cloud.form()
    assert "not confirmed" in str(outcome.failures["n1"])
    assert all(machine.host.read("/said") is None for machine in cloud.machines.values())
    assert questionnaire.tree["sayer"] == {"word": "good"}
