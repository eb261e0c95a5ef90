"""Errors are named after the person who must act, and say what to do."""

import inspect

import pytest

from mcloud import errors
from mcloud.errors import McloudError, RunFailed
from mcloud.session.transport import ConnectionLost

CLASSES = [
    found
    for _name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, McloudError) and found.__module__ == errors.__name__
]


def test_exit_codes_are_those_of_the_manual():
    assert {found.__name__: found.exit_code for found in CLASSES} == {
        "McloudError": 1,
        "SettingsError": 2,
        "PluginError": 3,
        "Overdue": 3,
        "UsedElsewhereError": 5,
        "PlanError": 4,
        "ServiceError": 5,
        "CommandError": 5,
        "RunFailed": 6,
        "TrustError": 7,
        "ProtocolError": 8,
        "DiscoveryError": 9,
    }


@pytest.mark.parametrize(
    "kind",
    [found for found in CLASSES if found is not RunFailed and not issubclass(found, errors.PluginError)],
)
def test_an_error_says_what_and_what_to_do(kind):
    error = kind("it broke", hint="mend it")
    assert str(error) == error.message == "it broke"
    assert error.hint == "mend it"
    assert kind("it broke").hint == ""


def test_the_classes_know_what_their_person_needs():
    assert errors.PluginError("x", plugin="lxd").plugin == "lxd"
    assert errors.SettingsError("x", problems=["a", "b"]).problems == ("a", "b")
    command = errors.CommandError("x", exit_status=3, stderr="no")
    assert (command.exit_status, command.stderr) == (3, "no")


@pytest.fixture
def failed():
    first, second = errors.ServiceError("the disk is full", hint="free some"), ValueError("a bug")
    return RunFailed("two steps failed", [first, second], hint="run it again")


def test_a_failed_run_holds_all_failures(failed):
    assert isinstance(failed, ExceptionGroup)
    assert isinstance(failed, McloudError)
    assert str(failed) == failed.message == "two steps failed"
    assert failed.hint == "run it again"
    assert [str(inside) for inside in failed.exceptions] == ["the disk is full", "a bug"]


def test_a_failed_run_can_be_taken_apart(failed):
    services, rest = failed.split(errors.ServiceError)
    assert isinstance(services, RunFailed)
    assert isinstance(rest, RunFailed)
    assert services.hint == "run it again"
    with pytest.raises(RunFailed) as raised:
        try:
            raise failed
        except* ValueError as bugs:
            assert len(bugs.exceptions) == 1
    assert [str(inside) for inside in raised.value.exceptions] == ["the disk is full"]


def test_a_lost_connection_says_why():
    assert ConnectionLost("gone", reason="closed by n1").reason == "closed by n1"
