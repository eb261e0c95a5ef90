"""The door to this machine: commands that end, files that are whole, secrets that stay in."""

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest
import requests
from pydantic import SecretStr

from mcloud import errors
from mcloud.localhost import LocalHost
from mcloud.process import KEPT
from mcloud.secrets import Secrets

WORD = "correct-horse-battery"


@pytest.fixture
def secrets():
    known = Secrets()
    known.add(WORD)
    return known


@pytest.fixture
def host(secrets):
    return LocalHost(secrets)


def _until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- commands


def test_a_command_says_what_it_says(host):
    result = host.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin="grüße", check=False)
    assert (result.status, result.stdout, result.stderr) == (3, "grüße", "oops\n")


def test_a_lot_goes_in_and_comes_out(host):
    data = "0123456789" * 300_000
    assert host.run(["cat"], stdin=data).stdout == data


def test_a_command_that_does_not_read_its_input_is_no_trouble(host):
    assert host.run(["true"], stdin="x" * 1_000_000).ok


def test_without_input_there_is_none(host):
    assert host.run(["cat"]).stdout == ""


def test_a_command_sees_a_small_environment(host, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD_OF_OURS", "x")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    seen = dict(line.split("=", 1) for line in host.run(["env"], env={"MORE": "1"}).stdout.splitlines())
    assert seen.keys() <= {"PATH", "HOME", "LANG", "LC_ALL", "MORE", "PWD", "SHLVL", "_"}
    assert (seen["LC_ALL"], seen["MORE"]) == ("C.UTF-8", "1")


def test_our_own_mask_is_not_the_commands(host):
    before = os.umask(0o077)
    try:
        assert host.run(["sh", "-c", "umask"]).stdout.strip() == "0022"
    finally:
        os.umask(before)


def test_a_failure_names_the_subcommand_and_its_last_words(host):
    with pytest.raises(errors.CommandError) as caught:
        host.run(["ls", "/no-such-folder"])
    assert caught.value.exit_status == 2
    assert caught.value.message.startswith("ls: exit status 2: ")
    assert "No such file or directory" in caught.value.message
    assert caught.value.hint == "the command was: ls /no-such-folder"


def test_a_failure_shows_no_secret_and_no_control_characters(host):
    script = 'read word; printf "\\033[31mbad %s\\n" "$word" >&2; exit 1'
    with pytest.raises(errors.CommandError) as caught:
        host.run(["sh", "-c", script], stdin=WORD)
    assert "bad ***" in caught.value.message
    assert "\033" not in caught.value.message
    assert WORD not in caught.value.stderr


def test_what_it_said_on_standard_output_counts_if_there_is_nothing_else(host):
    with pytest.raises(errors.CommandError, match="exit status 1: only here"):
        host.run(["sh", "-c", "echo only here; exit 1"])


def test_a_signal_is_called_by_its_name(host):
    with pytest.raises(errors.CommandError, match="killed by SIGSEGV"):
        host.run(["sh", "-c", "kill -SEGV $$"])


@pytest.mark.parametrize("check", [True, False])
def test_a_program_that_is_not_there_is_named(host, check):
    with pytest.raises(errors.CommandError, match="no program no-such-program") as caught:
        host.run(["no-such-program", "x"], check=check)
    assert caught.value.exit_status is None
    assert "install" in caught.value.hint


def test_a_file_that_is_no_program_is_said_to_be_so(host, tmp_path):
    (tmp_path / "tool").write_bytes(b"\x7fELFnonsense")
    (tmp_path / "tool").chmod(0o755)
    with pytest.raises(errors.CommandError):
        host.run([str(tmp_path / "tool")])


@pytest.mark.parametrize("check", [True, False])
def test_at_the_deadline_the_whole_family_is_killed(host, tmp_path, check):
    script = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; echo waiting >&2; wait; wait; sleep 60"
    with pytest.raises(errors.CommandError, match=r"sh: still running after 0.3 s .*: waiting") as caught:
        host.run(["sh", "-c", script], seconds=0.3, check=check)
    assert caught.value.exit_status is None
    _until(lambda: not _runs(int((tmp_path / "child").read_text())))


def test_a_daemon_left_behind_does_not_hold_us_up(host, tmp_path):
    started = time.monotonic()
    result = host.run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/child; echo ready"], seconds=20)
    assert result.stdout == "ready\n"
    assert time.monotonic() - started < 10
    child = int((tmp_path / "child").read_text())
    assert _runs(child), "what a command leaves running on purpose is left alone"
    os.kill(child, signal.SIGKILL)


def test_no_command_outlives_us(tmp_path):
    script = (
        "from mcloud.localhost import LocalHost\nfrom mcloud.secrets import Secrets\n"
        f"LocalHost(Secrets()).run(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'])"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), seconds=20)
        pid = int((tmp_path / "pid").read_text())
        assert _runs(pid)
        child.kill()
    _until(lambda: not _runs(pid))


def test_a_part_of_the_output_never_passes_for_the_whole(host):
    with pytest.raises(errors.CommandError, match="head: wrote more than can be kept"):
        host.run(["head", "-c", str(KEPT + 1), "/dev/zero"], check=False)
    assert len(host.run(["head", "-c", str(KEPT), "/dev/zero"]).stdout) == KEPT


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (["echo", WORD], None),
        (["echo", f"--key={WORD}"], None),
        (["echo", SecretStr("anything")], None),
        (["echo"], {"KEY": WORD}),
        (["echo"], {"KEY": SecretStr("anything")}),
    ],
)
def test_secrets_in_arguments_and_variables_are_refused(host, argv, env):
    with pytest.raises(errors.PluginError, match="secret") as caught:
        host.run(argv, env=env)
    assert WORD not in caught.value.message
    assert "stdin" in caught.value.hint


# -- files


def test_a_written_file_has_its_content_mode_and_folders(host, tmp_path):
    before = os.umask(0o077)
    try:
        host.write(f"{tmp_path}/a/b/file", "text", mode=0o640)
    finally:
        os.umask(before)
    found = host.stat(f"{tmp_path}/a/b/file")
    assert (host.read(f"{tmp_path}/a/b/file"), found.kind, found.mode, found.size) == (
        "text",
        "file",
        0o640,
        4,
    )
    assert (host.stat(f"{tmp_path}/a").mode, host.stat(f"{tmp_path}/a/b").kind) == (0o755, "folder")
    assert host.list(f"{tmp_path}/a/b") == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_gets_its_owner(host, tmp_path):
    host.write(f"{tmp_path}/file", b"x", owner="nobody:daemon", mode=0o600)
    host.write(f"{tmp_path}/other", b"x", owner="daemon")
    assert Path(f"{tmp_path}/file").owner() == "nobody"
    assert Path(f"{tmp_path}/file").group() == "daemon"
    assert Path(f"{tmp_path}/other").group() == "daemon"
    with pytest.raises(errors.ServiceError, match="no user 'nobody-at-all'"):
        host.write(f"{tmp_path}/file", "y", owner="nobody-at-all")
    assert host.read(f"{tmp_path}/file") == "x"


def test_none_removes_and_forgives(host, tmp_path):
    host.write(f"{tmp_path}/file", "x")
    host.write(f"{tmp_path}/file", None)
    host.write(f"{tmp_path}/file", None)
    host.write(f"{tmp_path}/no/folder", None)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_write_left_is_cleared_away(host, tmp_path):
    (tmp_path / ".file.mcloud").write_text("half of")
    host.write(f"{tmp_path}/file", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_is_written_through(host, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/file")
    host.write(f"{tmp_path}/link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/file").read_text() == "x"
    host.write(f"{tmp_path}/link", None)
    assert (tmp_path / "real/file").read_text() == "x"


def test_a_secret_goes_only_where_nobody_else_reads(host, tmp_path):
    host.write(f"{tmp_path}/key", f"key = {WORD}", mode=0o600)
    for mode in (0o644, 0o640, 0o604):
        with pytest.raises(errors.PluginError, match="secret"):
            host.write(f"{tmp_path}/open", f"key = {WORD}".encode(), mode=mode)
    assert host.stat(f"{tmp_path}/open") is None


def test_what_is_not_there_is_none(host, tmp_path):
    (tmp_path / "file").touch()
    for path in (f"{tmp_path}/nothing", f"{tmp_path}/file/below"):
        assert host.read(path) is None
        assert host.stat(path) is None
        assert host.list(path) == []


def test_what_is_no_text_is_not_guessed(host, tmp_path):
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    for path in (f"{tmp_path}/file", str(tmp_path)):
        with pytest.raises(errors.ServiceError, match="cannot read"):
            host.read(path)


def test_kinds(host, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nothing")
    assert host.stat(f"{tmp_path}/link").kind == "folder"
    assert host.stat(f"{tmp_path}/dangling") is None
    assert host.stat("/dev/null").kind == "other"


def test_another_root_keeps_its_links_inside(secrets, tmp_path):
    (tmp_path / "etc/real").mkdir(parents=True)
    (tmp_path / "etc/absolute").symlink_to("/etc/real")
    (tmp_path / "etc/climbing").symlink_to("../../../../etc/real")
    (tmp_path / "loop").symlink_to("/loop")
    inner = LocalHost(secrets, root=str(tmp_path))
    inner.write("/etc/absolute/one", "1")
    inner.write("/etc/climbing/../real/two", "2")
    assert inner.list("/etc/real") == ["one", "two"]
    assert inner.read("/etc/absolute/two") == "2"
    assert sorted(path.name for path in (tmp_path / "etc/real").iterdir()) == ["one", "two"]
    with pytest.raises(errors.ServiceError, match="symbolic links"):
        inner.read("/loop")


# -- other machines


def test_a_prefix_leads_every_command_to_its_machine(secrets):
    inner = LocalHost(secrets, prefix=("env", "BEHIND=1"))
    assert "BEHIND=1" in inner.run(["env"]).stdout
    assert inner.name == os.uname().nodename.partition(".")[0].lower()


# -- sockets


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "local"

    def log_message(self, *_args):
        pass


@pytest.fixture
def service(tmp_path):
    with ThreadingUnixStreamServer(f"{tmp_path}/unix.socket", _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"{tmp_path}/unix.socket"
        server.shutdown()
        thread.join()


def test_a_session_reaches_its_socket_and_nothing_else(host, service, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert host.stat(service).kind == "socket"
    with host.http(service) as session:
        assert session.get("http://localhost/1.0?a=b", timeout=5).text == "/1.0?a=b"
        assert session.get("http://localhost/1.0/other", timeout=5).text == "/1.0/other"
        with pytest.raises(requests.exceptions.InvalidSchema):
            session.get("http://192.0.2.1/", timeout=5)


def test_a_socket_nobody_listens_on_is_a_connection_error(host, tmp_path):
    with host.http(f"{tmp_path}/none") as session, pytest.raises(requests.ConnectionError):
        session.get("http://localhost/", timeout=5)


def test_settings_of_the_kernel_can_be_read():
    """The kernel refuses (ENOMEM) to be asked for megabytes at once."""
    assert LocalHost(Secrets()).read("/proc/sys/net/ipv6/conf/lo/disable_ipv6") in {"0\n", "1\n"}
