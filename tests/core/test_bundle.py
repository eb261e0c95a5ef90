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


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
BASE64 = "bW9yZSBzZWNyZXQgdGhhbiB5b3UgdGhpbms3MTcxNzE3MTc"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("proxy http://alice:hunter2@10.0.0.9:3128/ is away", "alice:hunter2"),
        ("cloning https://ghp-like-thing@git.example/x.git", "ghp-like-thing"),
        ("postgresql://app:p%40ss@db/app?sslmode=require", "p%40ss"),
        ("GET /v1 Authorization: Bearer abc.def-123456", "abc.def-123456"),
        ('{"Authorization": "Basic YWxpY2U6aHVudGVyMg=="}', "YWxpY2U6aHVudGVyMg"),
        ("authorization: Token 0123456789", "0123456789"),
        ("sent bearer 9f4935188f249f4935188f24", "9f4935188f249f4935188f24"),
        ("Set-Cookie: session=abc; Path=/", "session=abc"),
        ("X-Api-Key: 0123abcd", "0123abcd"),
        ("GET /hook?access_token=abcdef0123&x=1", "abcdef0123"),
        ("started with --db-password hunter22 --verbose", "hunter22"),
        (f"the cookie jar holds {JWT}", JWT),
        (f"the jar holds {BASE64}==", BASE64),
        (f"the jar holds {BASE64}", BASE64),
        ("the jar holds a7Kq+x/9fGh2Lm4Np6Qr8St0Uv2Wx4Yz6Ab8Cd", "a7Kq+x/9fGh2"),
        ("pushing with ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F292c6912"),
        ("user-data: passwd: $6$rounds$abcdefgh", "$6$rounds"),
    ],
)
def test_what_other_programs_say_of_their_secrets_is_masked(text, secret):
    said = masked(text, Secrets())
    assert secret not in said
    assert "***" in said


def test_only_what_our_services_units_warn_of_is_in_it(state, tmp_path):
    """What other programs write to the system's journal is not ours to pass on."""

    class WithUnits(Service):
        @hookimpl
        def manifest(self):
            return Manifest(api=1, summary="", units=("service.*", "service-*"))

    def answer(argv):
        if argv[0] != "journalctl":
            return None
        ours = argv[-4:] == ("--unit", "service.*", "--unit", "service-*")
        return "the service says that" if ours else "other[1]: login with swordfish"

    path = tmp_path / "b"
    wanted = parts(FakeHost(answer=answer), state, Plugins.of(service=WithUnits(), other=Service()))
    write_bundle(path, wanted, folder="f", known=Secrets())
    held = _read(path)
    assert "the service says that" in held["f/services/service/warnings.txt"]
    assert "f/services/other/warnings.txt" not in held
    assert "swordfish" not in "".join(held.values())


def test_every_plugin_of_ours_that_has_units_names_them():
    manifests = Plugins.load().manifests
    assert {name for name, manifest in manifests.items() if manifest.units} == {"ceph", "lxd", "ovn"}


def test_what_a_step_kept_of_others_is_not_in_it(state, tmp_path):
    """A profile of the operator's, a file of somebody's: undo needs it here, and nobody elsewhere."""
    lines = [
        {"event": "plan", "key": ""},
        {"event": "kept", "key": "k", "name": "before", "value": "cloud-config of theirs"},
        {"event": "done", "key": "k"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "torn"
    (state.folder / "runs" / "aa.jsonl").write_text(text)
    path = tmp_path / "b"
    write_bundle(path, parts(FakeHost(), state, Plugins.of()), folder="f", known=Secrets())
    told = _read(path)["f/mcloud/runs/aa.jsonl"]
    assert "cloud-config" not in told
    assert '"name":"before","value":"(22 characters)"' in told
    assert told.endswith('{"event": "done", "key": "k"}\ntorn')


@pytest.mark.parametrize(
    "text",
    [
        "/dev/disk/by-id/ata-WDC_WD40EFRX-68N32N0_WD-WCC7K0AAAAAA is /dev/sdb",
        "nvme-Samsung_SSD_970_EVO_Plus_1TB_S4EWNX0R123456Z",
        "sha256 9f4935188f24aa0b9f4935188f24aa0b9f4935188f24aa0b9f4935188f24aa0b",
        "osd.1 1ac02a52-3c7f-4f02-a9a1-55d9e1ab0f3e /var/lib/ceph/osd/ceph-1/block",
        "osd_pool_default_size = 3, mon_allow_pool_size_one=true",
        "ssl:10.0.0.1:6641,ssl:[fd00::1]:6641 https://10.0.0.1:8443/1.0",
        "Nov 28 08:00:01 n1 ceph-osd[77]: ceph-osd@1.service: Main process exited, status=1/FAILURE",
        "basic information about ovsdb-server-sb: leader self, term 3",
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
