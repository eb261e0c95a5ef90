"""The command line of the lab, as far as it goes without machines."""

import pytest
from click.testing import CliRunner

from mcloud.cli.lab import lab
from mcloud.errors import McloudError
from mcloud.lab import Lab, requirements

COMMANDS = {
    "up",
    "form",
    "run",
    "shell",
    "kill",
    "boot",
    "cut",
    "mend",
    "fail-disk",
    "renew-disk",
    "status",
    "down",
}


def test_every_command_takes_the_name_of_a_lab():
    assert set(lab.commands) == COMMANDS
    for name, command in lab.commands.items():
        said = CliRunner().invoke(lab, [name, "--help"])
        assert said.exit_code == 0
        assert "--lab" in said.output, name
        assert command.help


def test_a_wrong_number_of_machines_is_refused_before_anything_is_made():
    with pytest.raises(McloudError, match="0 machines"):
        CliRunner().invoke(lab, ["up", "--lab", "never", "--machines", "0"], catch_exceptions=False)
    assert "never" not in {lab.name for lab in Lab.existing()}


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McloudError, match="systemd-container") as refused:
        requirements.check()
    assert refused.value.hint.startswith("apt-get install ")
    assert "nftables" in refused.value.hint


def test_somebody_who_is_not_root_is_told_so(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(McloudError) as refused:
        requirements.check()
    assert "root" in refused.value.hint


@pytest.mark.parametrize(
    "arguments", [["status"], ["run", "n1", "--", "true"], ["kill", "n1"], ["cut", "n1", "n2"]]
)
def test_a_lab_that_is_not_up_is_said_to_be_so(monkeypatch, arguments):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("MCLOUD_LAB", "never")
    with pytest.raises(McloudError, match="'never' is not up"):
        CliRunner().invoke(lab, arguments, catch_exceptions=False)
