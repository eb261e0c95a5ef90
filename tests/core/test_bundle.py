"""The archive for finding faults: all that is there, nothing secret, and it waits for nobody for long."""

import json
import tarfile

import pytest

from mcloud import Manifest, ServiceError, ServiceState, hookimpl
from mcloud.bundle import Part, masked, parts, write_bundle
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.state import State
from mcloud.testing import FakeHost

PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"
CEPH_KEY = "AQDhz2hnAAAAABAAdBkVvTq9y0N2yWl0bXlrZXk="


class Service:
    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="", shows=(("service", "list --all"),))

    @hookimpl
    def inspect(self):
        return ServiceState(installed=True, version="1.2")


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    made.prepare()
    return made


def _read(path):
    with tarfile.open(path) as archive:
        return {name: archive.extractfile(name).read().decode() for name in archive.getnames()}


def test_it_holds_what_there_is_and_says_what_is_missing(state, tmp_path):
    (state.folder / "runs" / "aa.jsonl").write_text('{"event":"plan"}\n')
    (state.folder / "key.pem").write_text(PEM)
    host = FakeHost()
    path = tmp_path / "b.tar.gz"
    wanted = parts(host, state, Plugins.of(service=Service()))
    missing = write_bundle(path, wanted, folder="f", known=Secrets())
    held = _read(path)
    assert held["f/mcloud/runs/aa.jsonl"] == '{"event":"plan"}\n'
    assert json.loads(held["f/services/service/state.json"])["version"] == "1.2"
    assert {"f/versions.json", "f/missing.json"} <= held.keys()
    assert json.loads(held["f/missing.json"]) == missing
    # The fake host knows no such command: that is said, and the rest is there.
    assert "services/service/service-list-all.txt" in missing
    assert PEM not in "".join(held.values())
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_asked_is_named_without_secrets(tmp_path):
    known = Secrets()
    known.add("acorn blimp crisp dove")

    def refuse():
        raise ServiceError("it said acorn blimp crisp dove")

    missing = write_bundle(tmp_path / "b", [Part("a", refuse)], folder="f", known=known)
    assert missing == {"a": "it said ***"}


def test_a_bug_in_one_part_takes_that_part_alone(tmp_path):
    def fail():
        raise KeyError("nobody thought of it")

    path = tmp_path / "b"
    missing = write_bundle(path, [Part("a", fail), Part("b", lambda: "there")], folder="f", known=Secrets())
    assert missing == {"a": "KeyError: 'nobody thought of it'"}
    assert _read(path)["f/b"] == "there"


def test_journals_that_a_reset_put_aside_are_in_it(state, tmp_path):
    aside = state.folder / "set-aside" / "2026-11-23"
    aside.mkdir(parents=True)
    for name in ("index", "aa.jsonl", "cloud.json", "other"):
        (aside / name).write_text(name)
    names = {part.name for part in parts(FakeHost(), state, Plugins.of())}
    assert {f"mcloud/set-aside/2026-11-23/{name}" for name in ("index", "aa.jsonl", "cloud.json")} <= names
    assert "mcloud/set-aside/2026-11-23/other" not in names


@pytest.mark.parametrize("before", [" ", "", "{", "?"])
@pytest.mark.parametrize("secret", [PEM, CEPH_KEY, "trust_password: hunter2hunter2", '"token": "eyJhbGciOi"'])
def test_what_looks_like_a_secret_is_masked(secret, before):
    said = masked(f"before \n{before}{secret}\nafter", Secrets())
    assert said.startswith("before")
    assert said.endswith("after")
    assert secret.rpartition(" ")[2].strip('"') not in said


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"done","key":"issue_token/ceph/n1/n2/token","seconds":0.4}',
        "osd: 3 osds: 3 up, 3 in",
        "n2 gave its token to ceph",
        '"fingerprint": "9f4935188f24"',
    ],
)
def test_what_does_not_is_left_alone(text):
    assert masked(text, Secrets()) == text


def test_of_a_long_file_the_end_is_kept_in_whole_lines(state, tmp_path):
    line = "x" * 99 + "\n"
    (state.folder / "mcloud.log").write_text("first\n" + line * 50_000)
    path = tmp_path / "b"
    write_bundle(path, parts(FakeHost(), state, Plugins.of()), folder="f", known=Secrets())
    log = _read(path)["f/mcloud/mcloud.log"]
    assert "first" not in log
    assert set(log.splitlines()) == {"x" * 99}
