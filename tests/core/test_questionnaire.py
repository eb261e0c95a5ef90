"""Completing an order by asking: refused answers are changed or given up, and the file they make."""

import stat
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from mcloud import Ask, Check, Manifest, Settings, SettingsError, hookimpl
from mcloud.answersfile import network_of, read_tree, text_of, write
from mcloud.forms import read_file
from mcloud.forms.defaults import Defaults
from mcloud.gathering import checked
from mcloud.inputs import Inputs
from mcloud.model import Nic, Node, Survey
from mcloud.order import Order, order_of
from mcloud.plugins import Plugins
from mcloud.questionnaire import CHANGE_ALL, Questionnaire, secrets_again
from mcloud.secrets import Secrets
from mcloud.testing import Scripted


class Paint(Settings):
    colour: Annotated[str, Ask("Colour")] = Field(default="green", description="Colour")
    key: Annotated[SecretStr | None, Ask("Key")] = Field(default=None, description="Key")


class Painter:
    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Paints", settings=Paint)

    @hookimpl
    def preflight(self, settings):
        yield Check(level="error" if settings.colour == "mauve" else "ok", message=settings.colour)

    @hookimpl
    def join(self):
        return ()


PLUGINS = Plugins.of(painter=Painter())


def node(number, address="10.0.0.{}", prefix=24):
    own = address.format(number)
    nic = Nic(name="eth0", addresses=(f"{own}/{prefix}",))
    return Node(name=f"n{number}", addresses=(own,), survey=Survey(nics=(nic,)), founder=number == 1)


NODES = (node(1), node(2))


def gather(order):
    inputs = Inputs(
        run="0" * 16,
        command="init",
        cloud=order.cloud,
        nodes=NODES,
        services=order.services,
        settings=order.settings,
        node_settings=order.node_settings,
    )
    checked(PLUGINS, inputs)
    return inputs


ORDER = Order(
    command="init",
    cloud="home",
    services=("painter",),
    expect=1,
    discovery=("mdns",),
    port=9999,
    others="stop",
    typed={"name": "home"},
)


def asking(person, **more):
    known = Secrets()
    return Questionnaire(plugins=PLUGINS, known=known, prompter=person, **more), known


def test_answers_complete_the_order_and_how_it_was_typed_stays():
    questionnaire, known = asking(Scripted({"Colour": "red", "Key": "swordfish"}))
    order = questionnaire(ORDER, gather)
    assert order.settings["painter"] == {"colour": "red", "key": None}
    assert order.secrets["painter"]["key"].get_secret_value() == "swordfish"
    assert (order.expect, order.discovery, order.port, order.code) == (1, ("mdns",), 9999, None)
    assert order.digest == ORDER.digest
    assert dict(order.machines) == {"n1": "10.0.0.1", "n2": "10.0.0.2"}
    assert known.mask("swordfish") != "swordfish"
    assert "swordfish" not in repr(questionnaire)


def test_what_the_checks_refuse_is_asked_again_with_the_former_answers():
    person = Scripted(["mauve", "", "yes", "blue", ""])
    order = asking(person)[0](ORDER, gather)
    assert person.asked == ["Colour", "Key", CHANGE_ALL, "Colour", "Key"]
    assert person.complaints == ["home: mauve"]
    assert person.defaults["Colour"] == "mauve"
    assert order.settings["painter"]["colour"] == "blue"


def test_who_gives_up_has_the_answers_still():
    questionnaire, _known = asking(Scripted(["mauve", "", "no"]))
    with pytest.raises(SettingsError):
        questionnaire(ORDER, gather)
    assert questionnaire.tree["painter"] == {"colour": "mauve"}


def test_nobody_is_asked_to_change_where_nobody_is():
    questionnaire, _known = asking(Defaults(), again=False)
    assert questionnaire(ORDER, gather).settings["painter"]["colour"] == "green"
    with pytest.raises(SettingsError):
        questionnaire(ORDER, lambda order: gather(order) if not order.services else _refuse())


def _refuse():
    raise SettingsError("no")


def test_the_file_works_as_it_is_and_is_for_its_owner_alone(tmp_path):
    questionnaire, known = asking(Scripted({"Colour": "red", "Key": "swordfish"}))
    order = questionnaire(ORDER, gather)
    path = tmp_path / "new" / "answers.yaml"
    write(path, questionnaire.tree)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.startswith("# What was answered to `mcloud init`")
    assert "mcloud preseed FILE" in text
    preseed = read_file(path, PLUGINS.manifests, services=PLUGINS.services)
    again = order_of(preseed, command="preseed")
    assert len(again.code.get_secret_value().split()) == 6
    assert known.mask(again.code.get_secret_value()) != again.code.get_secret_value()
    assert (again.settings, again.secrets, again.given) == (order.settings, order.secrets, order.given)
    assert again.port == 9999
    assert (again.others, order.others) == ("stop", "stop")
    write(path, questionnaire.tree)
    assert path.read_text() == text


def test_a_file_that_cannot_be_written_is_an_error_of_the_operator(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        write(tmp_path / "file" / "answers.yaml", {"mcloud": 1})


def test_one_machine_needs_no_code():
    person = Scripted(easy=True)
    questionnaire, _known = asking(person)

    def alone(order):
        return gather(order).model_copy(update={"nodes": NODES[:1]})

    order = questionnaire(ORDER, alone)
    assert "meet" in questionnaire.tree
    assert "code" not in questionnaire.tree["meet"]
    assert read_tree(questionnaire.tree, PLUGINS).cloud.name == order.cloud


@pytest.mark.parametrize(
    ("nodes", "network"),
    [
        (NODES, "10.0.0.0/24"),
        ((node(1), node(2, "10.0.1.{}")), "10.0.0.0/23"),
        ((node(1, "2001:db8::{}", 128), node(2, "2001:db8::{}", 128)), "2001:db8::/126"),
    ],
)
def test_the_network_holds_all_machines(nodes, network):
    assert network_of(nodes) == network


def test_machines_of_two_families_have_no_network():
    with pytest.raises(SettingsError, match="IPv4 address and some with an IPv6"):
        network_of((node(1), node(2, "2001:db8::{}", 64)))


def test_secrets_of_an_unfinished_run_are_asked_again_and_nothing_else():
    person = Scripted(["swordfish"])
    given = secrets_again(gather(ORDER), PLUGINS, person)
    assert person.asked == ["Key (as before)"]
    assert given["painter"]["key"].get_secret_value() == "swordfish"


def test_the_text_is_the_tree():
    assert "colour: red" in text_of({"mcloud": 1, "painter": {"colour": "red"}})
