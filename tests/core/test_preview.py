"""Preview: what would be done, by looking only."""

import pytest

from mcloud import ServiceError
from mcloud.model import printable
from mcloud.preview import preview


@pytest.fixture
def to_do(world):
    """Return a function that previews lanes: names of steps to do."""

    def shown(*lanes):
        return {key.rpartition("/")[2] for key, due in preview(world.around(*lanes)).items() if due}

    return shown


def test_what_is_there_is_not_to_do(world, lane, step, deeds, to_do):
    world.host.write("/a", "x")
    assert to_do(lane(step("a")), lane(step("b"), plugin="other")) == {"b"}
    assert deeds.of("run") == []


def test_who_wants_what_is_still_to_be_made_is_not_asked(world, lane, step, deeds, apple, to_do):
    """It would say that there is nothing to do."""
    world.host.write("/eat", "x")
    lanes = (
        lane(step("make", seen=[apple()]), plugin="maker"),
        lane(step("eat", wants=(apple,)), plugin="eater"),
    )
    assert to_do(*lanes) == {"make", "eat"}
    assert deeds.of("probe") == ["make"]


def test_who_wants_what_is_there_is_asked(world, lane, step, apple, to_do):
    for path in ("/make", "/eat"):
        world.host.write(path, "x")
    lanes = (
        lane(step("make", seen=[apple()]), plugin="maker"),
        lane(step("eat", wants=(apple,)), plugin="eater"),
    )
    assert to_do(*lanes) == set()


def test_a_service_that_is_not_there_is_not_asked(world, lane, step, deeds, to_do):
    lanes = (
        lane(step("found"), stage="found", hook="bootstrap"),
        lane(step("later"), stage="adapt", hook="adapt"),
    )
    world.host.write("/later", "x")
    assert to_do(*lanes) == {"found", "later"}
    assert deeds.of("probe") == ["found"]


def test_a_probe_that_fails_counts_as_to_do(world, lane, step, to_do):
    def trouble(_ctx):
        raise ServiceError("no answer")

    assert to_do(lane(step("a", probe=trouble))) == {"a"}


def test_nothing_is_journalled(world, lane, step, to_do):
    to_do(lane(step("a")))
    assert world.lines() == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\ntwo", "one two"),
        ("\x1b[0;31mred\x1b[0m \x1b]0;title\x07!", "red !"),
        ("\x1b", " "),
        ("x" * 300, "x" * 255),
        ("ä€😀", "ä€😀"),
    ],
)
def test_what_is_shown_fits_on_a_line(text, shown):
    assert printable(text) == shown
