"""FakeHost has the manners of the real host: what is asserted of one is asserted of both."""

import pytest
import requests
from pydantic import SecretStr

from mcloud import CommandError, PluginError, ServiceError
from mcloud.host import Result
from mcloud.localhost import LocalHost
from mcloud.secrets import Secrets
from mcloud.testing import FakeFile, FakeHost, PowerLost

SECRET = "tulip-hammer"


def _answer(argv):
    match argv:
        case ["echo", *words]:
            return " ".join(words) + "\n"
        case ["cat"]:
            return argv.stdin
        case ["false"]:
            return Result(1, "", "")
        case ["sh", "-c", "echo no >&2; exit 3"]:
            return Result(3, "", "no\n")
        case ["env"]:
            return "".join(f"{name}={value}\n" for name, value in argv.env.items())
    return None


@pytest.fixture
def known():
    secrets = Secrets()
    secrets.add(SECRET)
    return secrets


@pytest.fixture(params=["fake", "real"])
def host(request, known, tmp_path):
    """Return a host whose files are under nobody's feet."""
    if request.param == "fake":
        return FakeHost(answer=_answer, secrets=known)
    root = tmp_path / "root"
    root.mkdir()
    return LocalHost(known, root=str(root))


@pytest.fixture(params=["fake", "real"])
def runner(request, known):
    """Return a host that runs commands."""
    return FakeHost(answer=_answer, secrets=known) if request.param == "fake" else LocalHost(known)


def test_what_was_written_is_read(host):
    assert host.read("/etc/some/file") is None
    host.write("/etc/some/file", "words\n", mode=0o640)
    assert host.read("/etc/some/file") == "words\n"
    stat = host.stat("/etc/some/file")
    assert (stat.kind, stat.mode, stat.size) == ("file", 0o640, 6)
    host.write("/etc/some/file", None)
    host.write("/etc/some/file", None)
    assert host.read("/etc/some/file") is None
    assert host.stat("/etc/some/file") is None


def test_folders_are_where_files_are(host):
    assert host.list("/etc") == []
    for name in ("b", "a", "deep/c"):
        host.write(f"/etc/{name}", "x")
    assert list(host.list("/etc")) == ["a", "b", "deep"]
    assert host.stat("/etc/deep").kind == "folder"
    assert host.list("/etc/a") == []


def test_what_is_no_text_is_not_guessed_at(host):
    host.write("/etc/binary", b"\xff\xfe")
    with pytest.raises(ServiceError, match="not UTF-8"):
        host.read("/etc/binary")


def test_a_folder_is_no_file(host):
    host.write("/etc/a", "x")
    with pytest.raises(ServiceError, match="cannot read"):
        host.read("/etc")


def test_secrets_go_into_closed_files_only(host):
    with pytest.raises(PluginError, match="0644"):
        host.write("/etc/key", f"key={SECRET}")
    assert host.read("/etc/key") is None
    host.write("/etc/key", f"key={SECRET}", mode=0o600)
    assert host.read("/etc/key") == f"key={SECRET}"


def test_a_command_says_something(runner):
    assert runner.run(["echo", "hello", "you"]) == Result(0, "hello you\n", "")
    assert runner.run(["cat"], stdin="words").stdout == "words"
    assert runner.run(["cat"], stdin=b"words").stdout == "words"
    assert "COLOR=red" in runner.run(["env"], env={"COLOR": "red"}).stdout


def test_a_command_that_fails_is_an_error_unless_that_is_in_order(runner):
    assert runner.run(["false"], check=False).status == 1
    with pytest.raises(CommandError, match="exit status 3: no") as raised:
        runner.run(["sh", "-c", "echo no >&2; exit 3"])
    assert raised.value.exit_status == 3


@pytest.mark.parametrize("check", [True, False])
def test_a_command_that_is_not_there_is_an_error(runner, check):
    with pytest.raises(CommandError, match="there is no program surely-not-there"):
        runner.run(["surely-not-there"], check=check)


@pytest.mark.parametrize(
    "how",
    [
        {"argv": ["echo", SECRET]},
        {"argv": ["echo", f"--password={SECRET}"]},
        {"argv": ["echo", SecretStr("anything")]},
        {"argv": ["env"], "env": {"PASSWORD": SECRET}},
    ],
)
def test_secrets_are_no_arguments(runner, how):
    with pytest.raises(PluginError, match="a secret in the arguments or variables") as raised:
        runner.run(**how)
    assert SECRET not in str(raised.value)


def test_secrets_go_by_standard_input(runner):
    assert runner.run(["cat"], stdin=SECRET).stdout == SECRET


# ---- what only the fake can --------------------------------------------------------------------------


def test_it_remembers_its_calls():
    host = FakeHost(answer=_answer)
    host.run(["echo", "a"])
    host.run(["cat"], stdin="words", env={"A": "b"})
    assert host.calls == [("echo", "a"), ("cat",)]
    assert host.calls[1].stdin == "words"
    assert host.calls[1].env == {"A": "b"}


def test_its_machine_can_say_no():
    host = FakeHost(answer=_answer)

    def no(what):
        raise ServiceError(f"no {what}")

    host.before = no
    with pytest.raises(CommandError, match="no run echo"):
        host.run(["echo"])
    assert host.run(["echo"], check=False) == Result(1, "", "no run echo")
    with pytest.raises(ServiceError, match="no write /x"):
        host.write("/x", "y")


def test_its_power_can_fail():
    host = FakeHost(answer=_answer, files={"/x": FakeFile(content=b"y")})
    host.off = True
    for use in (lambda: host.run(["echo"]), lambda: host.read("/x"), lambda: host.write("/x", None)):
        with pytest.raises(PowerLost):
            use()
    host.off = False
    assert host.read("/x") == "y"


def test_its_sockets_are_answered():
    asked = []

    def answer(request):
        asked.append((request.method, request.url, request.body))
        return 202, {"done": True}

    host = FakeHost(sockets={"/run/service.sock": answer})
    with host.http("/run/service.sock") as session:
        said = session.post("http://localhost/1.0/pools", json={"name": "fast"}, timeout=5)
    assert (said.status_code, said.json()) == (202, {"done": True})
    assert asked == [("POST", "http://localhost/1.0/pools", b'{"name": "fast"}')]


def test_a_socket_where_nobody_listens():
    with FakeHost().http("/run/none.sock") as session, pytest.raises(requests.ConnectionError):
        session.get("http://localhost/", timeout=5)
