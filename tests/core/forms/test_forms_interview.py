"""The questionnaire with plugins made up for it: tables, wiping, defaults, changed answers."""

from dataclasses import fields
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Self

import pytest
from pydantic import AfterValidator, Field, SecretStr, model_validator

from mcloud.errors import SettingsError
from mcloud.forms import Ask, Choice, Topic, asked
from mcloud.forms.answering import UNSAID, answer
from mcloud.forms.defaults import Defaults
from mcloud.forms.interview import CHANGE, Interview
from mcloud.forms.offered import disk_choices
from mcloud.forms.tables import WHICH_ENCRYPTED, WHICH_WIPED
from mcloud.model import Disk, DiskChoice, Manifest, Node, Settings, Survey
from mcloud.testing import Scripted

DISKS = (
    Disk(device="/dev/sda", size=10**11, busy="mounted on /"),
    Disk(device="/dev/sdb", size=10**11, links=("/dev/disk/by-id/ata-B",)),
    Disk(device="/dev/sdc", size=10**11, content="ext4"),
)


def node(number, **survey):
    made = Survey.model_validate({"disks": DISKS, **survey})
    return Node(name=f"n{number}", addresses=(f"10.0.0.{number}",), founder=number == 1, survey=made)


def hold(script, *manifests, machines=2, nodes=None, tell=None):
    told = []
    interview = Interview(
        nodes=nodes or [node(number + 1) for number in range(machines)],
        manifests=dict(zip("abc", manifests, strict=False)),
        services=tuple("abc"[: len(manifests)]),
        prompter=script,
        tell=told.append if tell is None else tell.append,
    )
    return interview, interview.hold()


def manifest(settings=None, node_settings=None):
    return Manifest(api=1, summary="x", settings=settings, node_settings=node_settings)


def of_disks(question, topic=Topic.MORE, **more):
    return Ask(question, choices=disk_choices, topic=topic, **more)


class One(Settings):
    disk: Annotated[DiskChoice | None, of_disks("One?", Topic.LOCAL_STORAGE, role="local storage")] = Field(
        default=None, description="One"
    )


class Many(Settings):
    disks: Annotated[tuple[DiskChoice, ...], of_disks("Many?", Topic.SHARED_STORAGE, encrypts=True)] = Field(
        default=(), description="Many"
    )


ENCRYPTS = [node(1, abilities=("dm-crypt",)), node(2)]


def test_what_was_taken_by_one_question_is_closed_in_the_next():
    script = Scripted(
        {"One?": "n1:/dev/disk/by-id/ata-B", "Many?": "n2:/dev/disk/by-id/ata-B"},
    )
    _interview, answers = hold(script, manifest(node_settings=Many), manifest(node_settings=One))
    closed = {row.key: row.closed for row in script.picks["Many?"]}
    assert closed == {
        "n1:/dev/sda": "mounted on /",
        "n1:/dev/disk/by-id/ata-B": "taken for local storage",
        "n1:/dev/sdc": "",
        "n2:/dev/sda": "mounted on /",
        "n2:/dev/disk/by-id/ata-B": "",
        "n2:/dev/sdc": "",
    }
    assert answers.own["b"]["n1"]["disk"] == DiskChoice(path="/dev/disk/by-id/ata-B")
    assert answers.own["a"] == {"n1": {}, "n2": {"disks": (DiskChoice(path="/dev/disk/by-id/ata-B"),)}}
    assert script.headings == [Topic.LOCAL_STORAGE, Topic.SHARED_STORAGE]


def test_only_what_may_be_wiped_is_wiped_and_what_may_not_is_not_used():
    answers = ["n1:/dev/sdc n2:/dev/sdc", "n1:/dev/sdc", "n1:/dev/sdc", ""]
    script = Scripted(answers)
    _interview, said = hold(script, manifest(node_settings=One))
    assert script.asked == ["One?", WHICH_WIPED, "One?", WHICH_WIPED]
    assert script.complaints == ["/dev/sdc of n2 holds ext4 and may not be wiped: it cannot be used"]
    assert said.own["a"] == {"n1": {"disk": DiskChoice(path="/dev/sdc", wipe=True)}, "n2": {}}


def test_nothing_is_marked_for_wiping_beforehand_and_a_blank_disk_is_not_asked_about():
    script = Scripted(["n1:/dev/sdc n1:/dev/disk/by-id/ata-B", "none", "n1:/dev/disk/by-id/ata-B"])
    _interview, said = hold(script, manifest(node_settings=Many))
    assert [(row.key, row.picked) for row in script.picks[WHICH_WIPED]] == [("n1:/dev/sdc", False)]
    assert said.own["a"]["n1"] == {"disks": (DiskChoice(path="/dev/disk/by-id/ata-B"),)}


def test_encryption_is_offered_where_kernel_and_plugin_can():
    script = Scripted(["n1:/dev/disk/by-id/ata-B n2:/dev/disk/by-id/ata-B", "n1:/dev/disk/by-id/ata-B"])
    _interview, said = hold(script, manifest(node_settings=Many), nodes=ENCRYPTS)
    assert [row.key for row in script.picks[WHICH_ENCRYPTED]] == ["n1:/dev/disk/by-id/ata-B"]
    assert [said.own["a"][name]["disks"][0].encrypt for name in ("n1", "n2")] == [True, False]
    plain = Scripted(["n1:/dev/disk/by-id/ata-B"])
    hold(plain, manifest(node_settings=One), nodes=ENCRYPTS)
    assert plain.asked == ["One?"]


def test_where_nothing_can_be_picked_nothing_is_asked():
    told = []
    nodes = [node(1, disks=DISKS[:1])]
    hold(Scripted(), manifest(node_settings=One), nodes=nodes, tell=told)
    assert told == ["One: nothing can be picked (n1 /dev/sda: mounted on /)"]


class Wide(Settings):
    network: Annotated[
        IPv4Network | None, Ask("Network", when=lambda so_far: so_far.settings.get("fast"))
    ] = Field(default=None, description="Network")
    copies: Annotated[int, Ask("Copies", order=1)] = Field(default=3, ge=1, description="Copies")
    fast: Annotated[bool, Ask("Fast?", order=-1)] = Field(default=False, description="Fast")
    silent: str = Field(default="x", description="Never asked")


def test_fields_are_asked_in_order_and_checked_with_their_types():
    script = Scripted(["yes", "10.0.0.1/24", "10.0.0.0/24", "many", "0", "2"])
    _interview, said = hold(script, manifest(Wide))
    assert said.wide["a"] == {"network": IPv4Network("10.0.0.0/24"), "copies": 2, "fast": True}
    assert script.asked == ["Fast?", "Network", "Network", "Copies", "Copies", "Copies"]
    assert script.complaints[1:] == ["should be a whole number", "should be greater than or equal to 1"]
    assert script.defaults == {"Network": "", "Copies": "3"}


def test_defaults_are_left_unsaid():
    _interview, said = hold(Scripted(["", ""]), manifest(Wide))
    assert said.wide["a"] == {}
    assert said.sections({"a": manifest(Wide)}) == {"a": {}}


def test_asked_again_the_former_answers_are_the_defaults_and_none_takes_one_away():
    script = Scripted(["yes", "10.0.0.0/24", "2"], easy=True)
    interview, first = hold(script, manifest(Wide))
    assert interview.hold().wide == first.wide
    script.answers = [*script.asked, "yes", "none", ""]
    assert interview.hold().wide["a"] == {"copies": 2, "fast": True, "network": None}


class Pair(Settings):
    first: Annotated[int, Ask("First")] = Field(description="First")
    last: Annotated[int, Ask("Last")] = Field(description="Last")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.last:
            raise ValueError("`first` comes before `last`")
        return self


def test_answers_that_do_not_fit_together_are_all_asked_again():
    script = Scripted(["2", "1", "1", "2"])
    assert hold(script, manifest(Pair))[1].wide["a"] == {"first": 1, "last": 2}
    assert script.complaints == ["`first` comes before `last`"]


class Greets(Settings):
    word: Annotated[str, Ask("Word")] = Field(default="hi", description="Word")


def test_a_machines_setting_without_choices_is_asked_once_or_of_each():
    once = hold(Scripted(["yes", "hello"]), manifest(node_settings=Greets))[1]
    assert once.own["a"] == {"n1": {"word": "hello"}, "n2": {"word": "hello"}}
    script = Scripted(["no", "hello", ""])
    each = hold(script, manifest(node_settings=Greets))[1]
    assert each.own["a"] == {"n1": {"word": "hello"}, "n2": {}}
    assert script.asked[1:] == ["Word, on n1", "Word, on n2"]


def test_a_plugin_checks_doubts_remarks_and_drops():
    def colours(_node):
        return [Choice("red"), Choice("blue", cells=("blue as the sea",))]

    class Painted(Settings):
        colour: Annotated[
            str | None,
            Ask(
                "Colour?",
                choices=colours,
                columns=("LOOK",),
                doubt=lambda so_far: "one is lonely" if len(so_far.by_machine("colour")) == 1 else "",
                remark=lambda so_far: f"{len(so_far.by_machine('colour'))} painted",
                drops=lambda so_far: "" if so_far.by_machine("colour") else "no paint, no plugin",
            ),
        ] = Field(default=None, description="Colour")
        late: Annotated[str, Ask("Late", order=9)] = Field(default="", description="Late")

    told = []
    script = Scripted(["n1:red", "yes", "none"])
    _interview, said = hold(script, manifest(node_settings=Painted), tell=told)
    assert script.asked == ["Colour?", CHANGE, "Colour?"]
    assert told == ["one is lonely", "0 painted", "no paint, no plugin"]
    assert said.services == ()
    assert script.picks["Colour?"][0].picked, "the former answer is picked when it is changed"
    stays = Scripted(["n1:red", "no", "yes", ""])
    assert hold(stays, manifest(node_settings=Painted))[1].own["a"]["n1"] == {"colour": "red"}


def test_a_table_is_not_left_with_what_the_plugin_refuses():
    def check(so_far):
        return "all or none" if len(so_far.by_machine("colour")) == 1 else ""

    class Painted(Settings):
        colour: Annotated[str | None, Ask("Colour?", choices=lambda _: ["red"], check=check)] = Field(
            default=None, description="Colour"
        )

    with pytest.raises(AssertionError, match="all or none"):
        hold(Scripted(["n1:red"]), manifest(node_settings=Painted))
    assert hold(Scripted(["n1:red n2:red"]), manifest(node_settings=Painted))[1].own["a"]["n2"]


def test_a_secret_is_not_repeated_in_a_complaint_nor_shown_as_a_default():
    def not_admin(key: SecretStr) -> SecretStr:
        if key.get_secret_value().startswith("hunter"):
            raise ValueError(f"{key.get_secret_value()} is a bad key")
        return key

    class Locked(Settings):
        key: Annotated[SecretStr, AfterValidator(not_admin), Ask("Key")] = Field(
            default=SecretStr("swordfish"), description="Key"
        )

    script = Scripted(["hunter2", "correct horse"])
    made = answer(script, Locked.model_fields["key"], "Key")
    assert made.get_secret_value() == "correct horse"
    assert script.defaults == {"Key": ""}
    assert script.complaints == ["******** is a bad key"]


def test_without_a_person_defaults_are_taken_and_what_has_none_is_named():
    assert hold(Defaults(), manifest(Wide), manifest(node_settings=One))[1].wide["a"] == {}
    with pytest.raises(SettingsError, match="no default fits: First") as caught:
        hold(Defaults(), manifest(Pair))
    assert "`a: first:`" in caught.value.hint


def test_a_sequence_is_typed_with_commas_and_an_empty_answer_is_the_default():
    class Servers(Settings):
        names: Annotated[tuple[str, ...], Ask("Names")] = Field(default=("a",), description="Names")

    info = Servers.model_fields["names"]
    assert answer(Scripted(["x, y"]), info, "Names") == ("x", "y")
    assert answer(Scripted([""]), info, "Names") is UNSAID
    assert answer(Scripted(["none"]), info, "Names") == ()
    assert answer(Scripted([""]), info, "Names", default=("z",)) == ("z",)
    assert list(asked(Servers)) == ["names"]


def test_the_example_for_authors_asks_what_it_shows():
    text = (Path(__file__).parents[3] / "core/PLUGINS.md").read_text()
    code = text.split("## Questions")[1].split("```python\n")[1].split("```")[0]
    shown = {}
    exec(compile(code, "PLUGINS.md", "exec"), shown)  # noqa: S102 - our own document
    attic = manifest(shown["AtticSettings"], shown["AtticNode"])
    told = []
    script = Scripted(["n1:/dev/disk/by-id/ata-B", "no", "yes"])
    _interview, said = hold(script, attic, tell=told)
    assert script.asked == ["Which disks does the attic get?", CHANGE, "Leave the light on?"]
    assert told == ["disks on n1 only: nothing is kept twice"]
    assert said.wide["a"] == {"light": True}
    assert hold(Scripted(["none"]), attic)[1].services == ()
    rows = [name for name in asked_fields() if f"`{name}" not in text.split("## Questions")[1]]
    assert rows == [], "not in the table"


def asked_fields():
    return [one.name for one in fields(Ask)]
