"""How a command ends: exit status by error, bugs written down, machines that fell out said loudly."""

import json
import logging
import threading

import click
import pytest
from click.testing import CliRunner

from mcloud.cli.bugs import logged
from mcloud.cli.common import shown
from mcloud.cli.result import show_fallen
from mcloud.cli.screen import Screen
from mcloud.cli.stopping import Stopped
from mcloud.errors import McloudError, PlanError, RunFailed, ServiceError
from mcloud.secrets import Secrets


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("MCLOUD_STATE", str(tmp_path))
    return tmp_path


def command(raising):
    @click.command()
    @shown
    def made(screen):
        screen.known.add("hunter2-hunter2")
        raise raising

    return made


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (McloudError("a"), 1),
        (PlanError("a"), 4),
        (ServiceError("a"), 5),
        (RunFailed("a", [ServiceError("b")]), 6),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (Stopped(15), 143),
        (ValueError("a"), 70),
    ],
)
def test_the_exit_status_says_who_must_act(error, status):
    for arguments in ([], ["--json"]):
        done = CliRunner().invoke(command(error), arguments)
        assert done.exit_code == status
        assert "Traceback" not in done.output
        assert all(json.loads(line) for line in done.stdout.splitlines() if arguments)


def test_a_bug_is_two_lines_and_the_traceback_is_in_a_file_without_secrets(state):
    done = CliRunner().invoke(command(ValueError("no hunter2-hunter2")), [])
    assert done.stderr.splitlines() == [
        "Error: this is a bug in mcloud or a plugin: ValueError",
        f"Hint: what is known of it is in {state}/bugs.log",
    ]
    written = (state / "bugs.log").read_text()
    assert "Traceback" in written
    assert "hunter2" not in written


def test_what_libraries_log_goes_to_a_file_and_not_to_the_screen(state, capsys):
    known = Secrets()
    known.add("hunter2-hunter2")
    with logged(state, known):
        logging.getLogger("asyncio").warning("something hunter2-hunter2")
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "Error: this is a bug in mcloud or a plugin: ZeroDivisionError"
    assert "Traceback" not in err
    assert "WARNING asyncio: something ***" in (state / "mcloud.log").read_text()
    assert "ZeroDivisionError" in (state / "bugs.log").read_text()


def test_machines_that_fell_out_are_named_with_the_reason(capsys):
    show_fallen(Screen(Secrets()), {"n3": "join/lxd/n3/n3/member: no space"}, "home")
    out = capsys.readouterr().out
    assert "\nn3 IS NOT IN CLOUD home\n  n3 lxd member: no space\n" in out
    assert "`mcloud undo`" in out
    show_fallen(Screen(Secrets(), json_lines=True), {"n3": "no space"}, "home")
    told = json.loads(capsys.readouterr().out)
    assert (told["type"], told["machine"], told["reason"]) == ("fell_out", "n3", "no space")
