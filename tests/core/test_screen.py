"""The screen in a pipe and with --json: what comes out, line by line."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from pydantic import SecretStr

from mcloud.cli.screen import Screen
from mcloud.errors import ServiceError, SettingsError
from mcloud.model import Check
from mcloud.secrets import Secrets
from mcloud.session.protocol import OutlookLine
from mcloud.watch import Happening

CODE = "acorn blimp crisp dove"
PLANS = {"n1": [OutlookLine(key="join/ceph/n1/n1/osd-sdb", to_do=True, destroys=("all on /dev/sdb",))]}
CHECKS = [Check(level="warning", message="one copy only")]


def happening(what, **fields):
    return Happening(
        **{"machine": "n2", "plugin": "lxd", "hook": "join", "about": "n2", "step": "member", "what": what}
        | fields
    )


def everything(screen):
    """Do all that can be done with a screen."""
    screen.show_code(SecretStr(CODE), renewed=False)
    screen.notice("n2 (10.10.0.12) is here")
    screen.machine("n2", "here")
    screen.show_plans(PLANS, CHECKS)
    with screen.running():
        screen.happened(happening("waiting", step="token"))
        screen.happened(happening("started"))
        screen.happened(happening("report", text="half of it"))
        screen.happened(happening("notice", text="/dev/sdb is another disk now"))
        screen.happened(happening("done", seconds=1.5))
        screen.happened(happening("failed", step="volumes", text="join/lxd/n2/n2/volumes: no space"))
    screen.say("the end", "bold", type="end")
    screen.error(ServiceError("no space", hint="add a disk"))


def test_in_a_pipe_there_are_plain_lines_without_escape_codes(capsys):
    everything(Screen(Secrets()))
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert f"\n    {CODE}\n" in out
    assert "n2 (10.10.0.12) is here\n" in out
    assert (
        "  n1\n    ceph  osd-sdb\nWARNING  one copy only\nDESTROYS FOR GOOD on n1: all on /dev/sdb\n" in out
    )
    steps = [line[11:] for line in out.splitlines() if " s  n2" in line]
    assert steps == [
        "n2  lxd    member  says: /dev/sdb is another disk now",
        "n2  lxd    member  done (1.5 s)",
        "n2  lxd    volumes  FAILED: no space",
    ]
    assert err == "Error: no space\nHint: add a disk\n"


def test_long_lines_stay_whole_in_a_pipe(capsys):
    Screen(Secrets()).notice("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_with_json_every_line_is_an_object_with_type_and_time_errors_too(capsys):
    everything(Screen(Secrets(), json_lines=True))
    out, err = capsys.readouterr()
    assert err == ""
    objects = [json.loads(line) for line in out.splitlines()]
    kinds = [one["type"] for one in objects]
    assert kinds == ["code", "notice", "machine", "plan", *["step"] * 6, "end", "error"]
    assert all(isinstance(one["at"], float) for one in objects)
    assert objects[0]["code"] == CODE
    assert objects[3]["machines"]["n1"][0]["destroys"] == ["all on /dev/sdb"]
    assert objects[8]["seconds"] == 1.5
    assert (objects[-1]["exit_code"], objects[-1]["hint"]) == (5, "add a disk")


@pytest.mark.parametrize("json_lines", [False, True])
def test_secrets_are_masked_wherever_they_turn_up_but_the_code_is_shown(capsys, json_lines):
    known = Secrets()
    known.add(CODE)
    known.add("hunter2-hunter2")
    screen = Screen(known, json_lines=json_lines)
    screen.show_code(SecretStr(CODE), renewed=False)
    screen.notice("hunter2-hunter2 and " + CODE)
    screen.happened(happening("failed", text="key hunter2-hunter2"))
    screen.error(SettingsError("hunter2-hunter2", problems=["hunter2-hunter2"], hint="hunter2-hunter2"))
    screen.bug(ValueError("hunter2-hunter2"), "/somewhere")
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert (out + err).count(CODE) == 1


def test_what_others_say_is_text_and_no_markup(capsys):
    Screen(Secrets()).notice("[bold red]n2[/] \x1b[2J:smile: is here")
    assert capsys.readouterr().out == "[bold red]n2[/] :smile: is here\n"


def test_without_a_terminal_only_yes_confirms():
    screen = Screen(Secrets())
    with pytest.raises(SettingsError, match="no terminal"):
        screen.confirm(["all"])
    screen.yes = True
    assert screen.confirm(["all"])


def test_a_reader_that_goes_away_ends_the_lines_and_not_the_run():
    program = """
        from mcloud.cli.screen import Screen
        from mcloud.secrets import Secrets
        import sys
        screen = Screen(Secrets(), json_lines=len(sys.argv) > 1)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(3):
            screen.notice("is anybody there")
        sys.stderr.write("the run has ended")
    """
    for arguments in ([], ["json"]):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate("go\n")
        assert (process.returncode, err) == (0, "the run has ended")


def test_colour_that_is_forced_on_a_pipe_by_the_environment_stays_off():
    program = "from mcloud.cli.screen import Screen, Secrets; Screen(Secrets()).say('text', 'bold red')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"},
    )  # fmt: skip
    assert done.stdout == b"text\n"
