"""The command line as an operator meets it: the real program, bad input, and nothing touched."""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mcloud.journal import Journal
from mcloud.model import Role
from mcloud.secrets import Secrets
from mcloud.state import State

HERE = socket.gethostname().partition(".")[0].lower()
CODE = "acorn blimp crisp dove ember fritz"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="commands that form a cloud run as root")


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def mcloud(state):
    """Return a function that runs the real program, with a state folder of the test's own."""

    def run(*arguments, before=(), **options):
        return subprocess.run(
            [*before, sys.executable, "-I", "-m", "mcloud", *map(str, arguments)],
            capture_output=True, text=True, timeout=25, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "MCLOUD_STATE": str(state)}, **options,
        )  # fmt: skip

    return run


@pytest.fixture
def cloud_file(tmp_path):
    """Return a function that writes a file as an operator should: readable by nobody else."""

    def write(text, *, mode=0o600):
        path = tmp_path / "cloud.yaml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def touched(state):
    """Return what a command left in its state folder, but for the lock."""
    return [path.name for path in state.rglob("*") if path.is_file() and path.name != "lock"]


@needs_root
def test_five_mistakes_in_a_file_are_five_lines_with_their_numbers_and_nothing_is_touched(
    mcloud, cloud_file, state
):
    path = cloud_file(f"""\
mcloud: 1
cloud: {{name: home, initiator: {HERE}, network: 10.10.0.0/24}}
meet: {{code: "{CODE}", patience: soon}}
lxd: {{local: ext4}}
ceph: {{public_netwrk: 10.10.0.0/24}}
linstor: {{}}
machines:
  {HERE}: {{address: 10.99.0.11}}
""")
    done = mcloud("preseed", path)
    assert done.returncode == 2
    assert done.stdout == ""
    first, *problems, hint = done.stderr.splitlines()
    assert first == f"Error: {path} has 5 mistakes"
    assert [int(re.match(rf"  {path}:(\d+) ", line)[1]) for line in problems] == [3, 4, 5, 6, 8]
    assert "did you mean public_network?" in problems[2]
    assert "no plugin named linstor is installed" in problems[3]
    assert "nothing was changed" in hint
    assert touched(state) == []


@needs_root
def test_with_json_an_error_is_an_object_on_standard_output(mcloud, cloud_file):
    done = mcloud("preseed", "--json", cloud_file("mcloud: 2\n"))
    (error,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (2, "")
    assert (error["type"], error["exit_code"]) == ("error", 2)
    assert error["problems"][0].endswith(":1: mcloud: format 2; this mcloud reads format 1")


@needs_root
def test_a_file_with_a_code_that_others_may_read_is_refused(mcloud, cloud_file, state):
    path = cloud_file(valid(), mode=0o644)
    done = mcloud("preseed", path)
    assert done.returncode == 2
    assert f"chmod 600 {path}" in done.stderr
    assert CODE not in done.stdout + done.stderr
    assert touched(state) == []


def valid(*, service="lxd", initiator=HERE):
    return f"""\
mcloud: 1
cloud: {{name: home, initiator: {initiator}, network: 10.10.0.0/24}}
meet: {{code: "{CODE}"}}
{service}: {{}}
machines:
  {initiator}: {{address: 10.10.0.11}}
  another: {{address: 10.10.0.12}}
"""


@needs_root
def test_a_file_that_does_not_name_this_machine_says_whom_it_names(mcloud, cloud_file, state):
    done = mcloud("preseed", cloud_file(valid(initiator="somebody-else")))
    assert done.returncode == 2
    assert f"does not name this machine, {HERE}" in done.stderr
    assert "somebody-else, another" in done.stderr
    assert touched(state) == []


@needs_root
def test_a_missing_package_is_named_with_the_line_that_installs_it(mcloud, cloud_file, state, tmp_path):
    nothing = tmp_path / "status"
    nothing.write_text("")
    bind = f'mount --bind {nothing} /var/lib/dpkg/status && exec "$@"'
    before = ["unshare", "--mount", "--propagation", "private", "sh", "-c", bind, "sh"]
    if (
        not Path("/var/lib/dpkg/status").exists()
        or subprocess.run([*before, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("needs Debian, and to mount")
    done = mcloud("preseed", cloud_file(valid()), before=before)
    assert done.returncode == 2
    assert "  lxd needs lxd, lxd-client" in done.stderr
    assert re.search(
        r"^Hint: apt-get install --no-install-recommends .*\blxd lxd-client", done.stderr, re.MULTILINE
    )
    assert "--install" in done.stderr
    assert touched(state) == []


@needs_root
def test_who_is_not_root_is_told_so(mcloud, state):
    nobody = ["unshare", "--user"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*nobody, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("needs user namespaces")
    done = mcloud("init", "--expect", "0", before=nobody)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: mcloud changes this machine and must be run as root\nHint: ")
    assert not state.exists()


@needs_root
def test_one_machine_does_one_thing_at_a_time(mcloud, cloud_file, state):
    state.mkdir(mode=0o700)
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = mcloud("preseed", cloud_file(valid()))
    assert done.returncode == 1
    assert "another mcloud is at work on this machine" in done.stderr


@needs_root
def test_init_without_a_terminal_needs_a_number(mcloud, state):
    done = mcloud("init")
    assert done.returncode == 2
    assert "--expect N" in done.stderr
    assert touched(state) == []


@needs_root
def test_init_without_a_terminal_says_which_answer_is_missing(mcloud, state):
    done = mcloud("init", "--expect", "0", "--yes", "--service", "lxd")
    assert done.returncode == 2
    assert "an answer is missing: Which disk does each machine give to local storage" in done.stderr
    assert "--defaults" in done.stderr
    assert "`machines: NAME: lxd: disk:`" in done.stderr
    counted = mcloud("init", "--defaults", "--yes")
    assert counted.returncode == 2
    assert "--expect N or --all" in counted.stderr
    assert touched(state) == []


@needs_root
@pytest.mark.parametrize("arguments", [["--service", "nosuch"], ["--without", "lxd", "--service", "lxd"]])
def test_a_service_that_is_not_there_is_refused(mcloud, state, arguments):
    done = mcloud("init", "--expect", "0", *arguments)
    assert done.returncode in {2, 3}
    assert done.stderr.startswith("Error: ")
    assert touched(state) == []


@needs_root
def test_join_on_a_machine_that_is_in_a_cloud_asks_nothing_before_it_says_so(mcloud, state):
    State(state).write_cloud({"id": "aa", "name": "home", "members": []})
    done = mcloud("join")  # with several addresses, the first question would be which
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "Error: this machine is in cloud home already",
    )


@needs_root
def test_what_is_left_of_a_run_that_was_undone_is_not_counted_as_done(mcloud, state):
    entry = State(state).begin_run(command="join", role=Role.JOINER)
    journal = Journal.create(State(state).journal_path(entry.id), {"cloud": "home", "nodes": []}, Secrets())
    journal.write("adopted", "join/ceph/n2/n2/access")
    assert ", 1 steps done" in mcloud("runs").stdout
    journal.write("reverted")
    assert mcloud("runs").stdout.rstrip().endswith("join     undone")


@needs_root
def test_a_bundle_is_made_also_where_the_own_key_is_damaged(mcloud, state, tmp_path):
    State(state).prepare()
    for name in ("key.pem", "certificate.pem"):
        (state / name).write_text("damaged")
    done = mcloud("bundle", tmp_path / "b.tar.gz")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.tar.gz").exists()


@needs_root
def test_undo_without_a_run_says_so(mcloud):
    done = mcloud("undo")
    assert (done.returncode, done.stderr) == (2, "Error: there is no run to undo on this machine\n")


def test_reset_refuses_while_another_mcloud_is_at_work_and_names_it(mcloud, state):
    with State(state).lock("join"):
        done = mcloud("reset", "--plan")
    assert done.returncode == 1
    assert f"another mcloud is at work on this machine: `join` (process {os.getpid()}" in done.stderr


def test_a_wrong_option_is_an_error_of_the_operator_also_with_json(mcloud):
    plain = mcloud("init", "--nosuch")
    assert plain.returncode == 2
    assert "No such option" in plain.stderr
    done = mcloud("init", "--json", "--nosuch")
    assert done.returncode == 2
    assert json.loads(done.stdout)["type"] == "error"


def test_the_current_folder_and_pythonpath_are_no_source_of_code(tmp_path):
    (tmp_path / "click.py").write_text("raise SystemExit(99)")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    installed = str(Path(sys.executable).with_name("mcloud"))
    done = subprocess.run([installed, "code"], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (done.returncode, len(done.stdout.split())) == (0, 6)


def test_what_programs_read_is_printed_alone(mcloud):
    assert json.loads(mcloud("schema").stdout)["type"] == "object"
    assert "machines:" in mcloud("example").stdout
    assert len(mcloud("code").stdout.split()) == 6
    assert {row["name"] for row in json.loads(mcloud("plugins", "--json").stdout)} >= {"lxd", "ceph", "ovn"}


def test_every_command_has_a_help_whose_first_sentence_fits_the_list(mcloud):
    listed = mcloud("--help").stdout
    assert "..." not in listed.partition("Commands:")[2]
