"""`mcloud join` before it meets anybody: which plugins look, and where the code comes from."""

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from mcloud.cli.common import shown
from mcloud.cli.join import _asker

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="commands that form a cloud run as root")


@pytest.fixture
def mcloud(tmp_path):
    """Return a function that runs the real program."""

    def run(*arguments, **env):
        return subprocess.run(
            [sys.executable, "-I", "-m", "mcloud", *arguments],
            capture_output=True, text=True, timeout=25, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "MCLOUD_STATE": str(tmp_path / "state"), **env},
        )  # fmt: skip

    return run


@needs_root
@pytest.mark.parametrize(
    ("options", "env", "plugin"),
    [
        ((), {}, "mdns"),
        (("--initiator-address", "n1"), {}, "static"),
        ((), {"MCLOUD_INITIATOR_ADDRESS": "n1"}, "static"),
        (("--initiator-address", "n1", "--discovery", "mdns"), {}, "mdns"),
        (("--discovery", "static", "--discovery", "mdns"), {}, "mdns"),
    ],
)
def test_the_initiator_is_looked_for_on_the_network_unless_its_address_is_given(mcloud, options, env, plugin):
    done = mcloud("join", "--without", plugin, *options, **env)
    assert done.returncode == 2
    assert f"{plugin}: no such plugin is installed" in done.stderr


def asked(times, why=""):
    """Return a command that asks for the code several times."""

    @click.command()
    @shown
    def command(screen):
        ask = _asker(screen)
        for number in range(times):
            code = ask(why if number else "")
            assert "acorn" not in repr(code)
            screen.say(code.get_secret_value())

    return command


def test_without_a_terminal_the_code_is_one_line_of_standard_input_and_serves_for_a_restarted_initiator():
    done = CliRunner().invoke(asked(2), input="acorn blimp crisp dove\nanother\n")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["acorn blimp crisp dove"] * 2


def test_without_a_terminal_a_wrong_code_is_the_end_and_the_reason_is_told():
    done = CliRunner().invoke(asked(2, "the code is wrong"), input="acorn blimp crisp dove\nanother\n")
    assert done.exit_code == 7
    assert "Error: the code is wrong" in done.stderr
    assert "standard input" in done.stderr


def test_without_a_terminal_and_without_input_the_code_is_missing():
    done = CliRunner().invoke(asked(1), input="")
    assert done.exit_code == 2
    assert "the code is missing" in done.stderr


def test_a_code_is_no_argument(mcloud):
    for argument in ("acorn", "--code=acorn"):
        done = mcloud("join", argument)
        assert done.returncode == 2
        assert "acorn" not in done.stdout
