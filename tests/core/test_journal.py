"""The journal: one whole line an event, on disk before anything goes on."""

import json
import resource
import signal
import threading

import pytest

from mcloud import McloudError, PluginError
from mcloud.journal import Journal
from mcloud.secrets import Secrets
from mcloud.testing import memory_folder


@pytest.fixture
def path():
    with memory_folder() as folder:
        yield folder / "run.jsonl"


@pytest.fixture
def journal(path):
    return Journal.create(path, {"run": "abc", "nodes": ["n1", "n2"]}, Secrets())


def _again(path):
    return Journal.open(path, Secrets())


def test_it_begins_with_all_inputs(journal, path):
    assert journal.header["run"] == "abc"
    assert _again(path).header["nodes"] == ["n1", "n2"]
    assert json.loads(path.read_text())["event"] == "plan"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_last_line_wins(journal, path):
    for event in ("started", "failed", "started", "done"):
        journal.write(event, "join/p/n1/n1/a")
        assert journal.last("join/p/n1/n1/a") == event
        assert _again(path).last("join/p/n1/n1/a") == event
    assert journal.last("join/p/n1/n1/b") is None


def test_offers_are_those_of_the_last_line(journal, path):
    journal.write("done", "k", offers=[{"kind": "A", "fact": {}}])
    assert _again(path).offers("k") == [{"kind": "A", "fact": {}}]
    journal.write("started", "k")
    assert journal.offers("k") == ()


def test_the_first_value_kept_wins(journal, path):
    journal.write("kept", "k", name="before", value="first")
    journal.write("kept", "k", name="before", value="second")
    journal.write("kept", "k", name="nothing", value=None)
    for one in (journal, _again(path)):
        assert one.kept("k", "before") == (True, "first")
        assert one.kept("k", "nothing") == (True, None)
        assert one.kept("k", "else") == (False, None)


def test_the_last_request_wins(journal, path):
    journal.write("applied", "lane", value="01")
    journal.write("applied", "lane", value="02")
    assert _again(path).kept("lane", "applied") == (True, "02")


def test_it_knows_what_ever_began(journal, path):
    journal.write("failed", "a")
    journal.write("started", "b")
    journal.write("failed", "b")
    for one in (journal, _again(path)):
        assert not one.begun("a")
        assert one.begun("b")


def test_a_cut_gives_new_inputs(journal, path):
    assert journal.inputs["nodes"] == ["n1", "n2"]
    journal.write("cut", nodes=["n1"])
    assert _again(path).inputs["nodes"] == ["n1"]
    assert _again(path).header["nodes"] == ["n1", "n2"]


def test_the_end_is_known(journal, path):
    assert not journal.finished
    assert not journal.closed
    journal.write("parted", machine="n2")
    journal.write("finished")
    assert _again(path).finished
    assert _again(path).parted == {"n2"}
    journal.write("undoing")
    assert _again(path).closed


@pytest.mark.parametrize(
    "torn", [b"x", b'{"event":"done","key":"k"', b'{"event":"done","key":"k"}', b"\xff\xfe"]
)
def test_a_torn_last_line_is_cut_off(journal, path, torn):
    journal.write("started", "k")
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = _again(path)
    assert again.last("k") == "started"
    assert path.read_bytes() == whole
    again.write("done", "k")
    assert _again(path).last("k") == "done"


def test_a_line_broken_in_the_middle_is_not_guessed_at(journal, path):
    path.write_bytes(path.read_bytes() + b"what is this\n" + b'{"event":"finished","key":""}\n')
    with pytest.raises(McloudError, match="is not a journal"):
        _again(path)


@pytest.mark.parametrize("content", [b"", b'{"event":"done","key":"k"}\n', b'{"event":"plan"'])
def test_what_does_not_begin_with_a_plan_is_no_journal(path, content):
    path.write_bytes(content)
    with pytest.raises(McloudError, match="does not begin with a plan"):
        _again(path)


def test_no_second_journal_of_one_run(journal, path):
    before = path.read_bytes()
    with pytest.raises(McloudError, match="already"):
        Journal.create(path, {"run": "abc"}, Secrets())
    assert path.read_bytes() == before


def test_what_is_left_of_a_beginning_does_not_matter(path):
    path.with_suffix(".new").write_text("half a li")
    Journal.create(path, {"run": "abc"}, Secrets())
    assert _again(path).header["run"] == "abc"
    assert [found.name for found in path.parent.iterdir()] == [path.name]


SECRET = 'tulip-"hammer"-42'


@pytest.mark.parametrize(
    ("event", "key", "data"),
    [
        ("kept", "join/flowers/n1/n1/a", {"name": "before", "value": f"password={SECRET}"}),
        ("done", "join/flowers/n1/n1/a", {"offers": [{"kind": "A", "fact": {"deep": [SECRET]}}]}),
        ("failed", "join/flowers/n1/n1/a", {"error": f"login with {SECRET} failed"}),
        ("started", f"join/flowers/n1/n1/{SECRET}", {}),
    ],
    ids=["kept", "offered", "error", "key"],
)
def test_secrets_are_refused(path, event, key, data):
    known = Secrets()
    known.add(SECRET)
    journal = Journal.create(path, {"run": "abc"}, known)
    with pytest.raises(PluginError, match="a secret was about to be written") as raised:
        journal.write(event, key, **data)
    assert raised.value.plugin == "flowers"
    assert "tulip" not in path.read_text()
    assert len(list(journal.lines())) == 1


def test_a_secret_in_the_inputs_leaves_no_journal(path):
    known = Secrets()
    known.add(SECRET)
    with pytest.raises(PluginError):
        Journal.create(path, {"settings": {"password": SECRET}}, known)
    assert not path.exists()


def test_many_threads_write_whole_lines(journal, path):
    def write(number):
        for count in range(20):
            journal.write("kept", f"k{number}", name=str(count), value="x" * 300)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(_again(path).lines())) == 161


def test_lines_are_on_disk_when_write_returns(journal, path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(path.read_bytes()))
    journal.write("started", "k")
    assert synced[-1].endswith(b"\n")
    assert b'"started"' in synced[-1]


def test_a_full_disk_leaves_no_half_line(tmp_path):
    """A half line with more behind it would make the whole journal unreadable."""
    journal = Journal.create(tmp_path / "run.jsonl", {"run": "0" * 16}, Secrets())
    before = journal.path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 20, hard))
    try:
        with pytest.raises(McloudError, match="cannot be written"):
            journal.write("started", "join/p/n1/n1/step")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert journal.path.stat().st_size == before
    journal.write("started", "join/p/n1/n1/step")
    assert Journal.open(journal.path, Secrets()).last("join/p/n1/n1/step") == "started"
