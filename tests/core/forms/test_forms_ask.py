from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Annotated, Self

import pytest
from pydantic import AfterValidator, Field, SecretStr, model_validator

from mcloud.errors import SettingsError
from mcloud.forms import Ask, asked, fill
from mcloud.model import Disk, DiskChoice, Settings, Survey

SURVEY = Survey(disks=(Disk(device="/dev/sdb", size=1), Disk(device="/dev/sdc", size=1)))


@dataclass
class Script:
    """Answers in order, and remembers what it was asked and told."""

    answers: list[str]
    asked: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def ask(self, prompt: str, *, default: str, choices: Sequence[str]) -> str:
        self.asked.append((prompt, default, choices))
        return self.answers.pop(0)

    def complain(self, reason: str) -> None:
        self.told.append(reason)


def devices(survey: Survey) -> list[str]:
    return [disk.device for disk in survey.disks]


class Keep(Settings):
    disks: Annotated[tuple[DiskChoice, ...], Ask("Disks", choices=devices)] = Field(
        default=(), description="Disks"
    )
    network: Annotated[IPv4Network | None, Ask("Network", when=lambda so_far: bool(so_far.get("disks")))] = (
        Field(default=None, description="Network")
    )
    copies: Annotated[int, Ask("Copies")] = Field(default=3, ge=1, description="Copies")
    fast: Annotated[bool, Ask("Fast")] = Field(default=False, description="Fast")
    silent: str = Field(default="x", description="Never asked")


def test_every_field_that_can_be_asked_is_asked_in_order_and_checked_with_its_type():
    script = Script(["/dev/sdb, /dev/sdc", "10.0.0.0/24", "2", "yes"])
    made = fill(Keep, script, SURVEY)
    assert [disk.path for disk in made.disks] == ["/dev/sdb", "/dev/sdc"]
    assert made == Keep(
        disks=(DiskChoice(path="/dev/sdb"), DiskChoice(path="/dev/sdc")),
        network=IPv4Network("10.0.0.0/24"),
        copies=2,
        fast=True,
    )
    assert script.asked == [
        ("Disks", "", ("/dev/sdb", "/dev/sdc")),
        ("Network", "", ()),
        ("Copies", "3", ()),
        ("Fast", "no", ()),
    ]
    assert list(asked(Keep)) == ["disks", "network", "copies", "fast"]


def test_a_wrong_answer_is_asked_again_with_the_reason():
    script = Script(["sdb", "", "many", "0", "2", ""])
    assert fill(Keep, script, SURVEY).copies == 2
    assert script.told == [
        r"should match pattern '^/dev/\S+$'",
        "should be a whole number",
        "should be greater than or equal to 1",
    ]


def test_an_empty_answer_is_the_default_and_what_has_no_default_is_asked_again():
    class Named(Settings):
        name: Annotated[str, Ask("Name")] = Field(min_length=1, description="Name")

    script = Script(["", "x"])
    assert fill(Named, script, SURVEY).name == "x"
    assert script.told == ["should have at least 1 character"]


def test_a_question_that_does_not_arise_is_not_put():
    script = Script(["", "", ""])
    assert fill(Keep, script, SURVEY) == Keep()
    assert [prompt for prompt, _, _ in script.asked] == ["Disks", "Copies", "Fast"]


def test_what_is_known_is_not_asked_and_decides_with_the_rest():
    script = Script(["10.0.0.0/24", ""])
    made = fill(Keep, script, SURVEY, {"disks": ["/dev/sdb"], "copies": 5})
    assert made.copies == 5
    assert made.network == IPv4Network("10.0.0.0/24")


def test_what_is_known_and_wrong_is_an_error_and_no_question():
    with pytest.raises(SettingsError, match="copies: should be a whole number"):
        fill(Keep, Script(["", ""]), SURVEY, {"copies": "many"})


class Pair(Settings):
    first: Annotated[int, Ask("First")] = Field(description="First")
    last: Annotated[int, Ask("Last")] = Field(description="Last")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.last:
            raise ValueError("`first` comes before `last`")
        return self


def test_answers_that_do_not_fit_together_are_all_asked_again():
    script = Script(["2", "1", "1", "2"])
    assert fill(Pair, script, SURVEY) == Pair(first=1, last=2)
    assert script.told == ["`first` comes before `last`"]


def test_a_choice_is_taken_as_what_it_stands_for():
    class One(Settings):
        disk: Annotated[
            DiskChoice, Ask("Disk", choices=lambda _: [DiskChoice(path="/dev/sdz", wipe=True)])
        ] = Field(description="Disk")

    script = Script(["path='/dev/sdz' wipe=True encrypt=False"])
    assert fill(One, script, SURVEY).disk.wipe is True


def test_a_secret_is_not_repeated_in_a_complaint_nor_shown_as_a_default():
    def not_admin(key: SecretStr) -> SecretStr:
        if key.get_secret_value().startswith("hunter"):
            raise ValueError(f"{key.get_secret_value()} is a bad key")
        return key

    class Locked(Settings):
        key: Annotated[SecretStr, AfterValidator(not_admin), Ask("Key")] = Field(
            default=SecretStr("swordfish"), description="Key"
        )

    script = Script(["hunter2", "correct horse"])
    assert fill(Locked, script, SURVEY).key.get_secret_value() == "correct horse"
    assert script.asked[0][1] == ""
    assert script.told == ["******** is a bad key"]
