"""What mcloud keeps of itself: root's alone, whole after a crash, one run at a time."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys

import pytest

from mcloud import errors
from mcloud.model import Role
from mcloud.state import State


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "lib/mcloud")


def _modes(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mode & 0o777
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_to_look_makes_nothing(state, tmp_path):
    assert state.runs() == ()
    assert state.latest() is None
    assert state.unfinished(lambda _path: False) is None
    assert state.read_cloud() is None
    assert state.pins("abc") == {}
    state.forget("abc")
    state.write_cloud(None)
    assert list(tmp_path.iterdir()) == []


def test_everything_is_for_its_owner_alone_whatever_the_mask(state):
    before = os.umask(0)
    try:
        run = state.begin_run(command="mcloud init", role=Role.INITIATOR)
        state.pin(run.id, "n2", "ab" * 32, "PEM")
        state.write_cloud({"name": "home"})
        with state.lock("mcloud init"):
            pass
    finally:
        os.umask(before)
    assert set(_modes(state.folder).values()) == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (state.folder, state.folder / "runs")} == {0o700}
    assert {state.key_path.parent, state.certificate_path.parent} == {state.folder}


def test_a_folder_that_was_open_is_closed(state):
    state.folder.mkdir(parents=True, mode=0o755)
    state.prepare()
    assert state.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_refused(state):
    state.folder.mkdir(parents=True)
    os.chown(state.folder, 65534, 65534)
    with pytest.raises(errors.McloudError, match="belongs to another user"):
        state.write_cloud({})


def test_the_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MCLOUD_STATE", raising=False)
    assert str(State().folder) == "/var/lib/mcloud"
    monkeypatch.setenv("MCLOUD_STATE", str(tmp_path))
    assert State().folder == tmp_path


# -- runs


def test_runs_are_known_in_order_with_what_began_them(state):
    first = state.begin_run(command="mcloud init", role=Role.INITIATOR, digest="d1")
    second = state.begin_run(command="mcloud join", role=Role.JOINER, run="told-by-another")
    known = State(state.folder).runs()
    assert known == (first, second)
    assert re.fullmatch("[0-9a-f]{16}", first.id)
    assert second.id == "told-by-another"
    assert (first.digest, first.created.utcoffset().total_seconds()) == ("d1", 0)


def test_the_latest_run_is_the_last_that_got_as_far_as_a_journal(state):
    first = state.begin_run(command="a", role=Role.INITIATOR)
    state.journal_path(first.id).touch()
    state.begin_run(command="b", role=Role.INITIATOR)
    assert state.latest() == first


def test_the_unfinished_run_is_the_latest_that_can_go_on(state):
    runs = [state.begin_run(command="a", role=Role.INITIATOR) for _ in range(3)]
    for run in runs:
        state.journal_path(run.id).write_text("done" if run is runs[2] else "")
    assert state.unfinished(lambda path: path.read_text() == "done") == runs[1]


def test_a_torn_line_of_the_index_is_no_run(state):
    first = state.begin_run(command="a", role=Role.INITIATOR)
    with (state.folder / "runs/index").open("a") as file:
        file.write('{"id": "x')
    assert state.runs() == (first,)
    second = state.begin_run(command="b", role=Role.INITIATOR)
    assert state.runs() == (first, second)


def test_a_newer_versions_index_can_be_read(state):
    state.begin_run(command="a", role=Role.INITIATOR)
    index = state.folder / "runs/index"
    index.write_text(index.read_text().replace("{", '{"more": 1, ', 1))
    assert len(state.runs()) == 1


@pytest.mark.parametrize("run", ["", "../x", "a/b", "-x", "A", "x" * 65, "a\n", "."])
def test_what_is_no_id_never_becomes_a_path(state, run):
    for use in (state.journal_path, state.pins, state.forget):
        with pytest.raises(errors.McloudError, match="is not the id of a run"):
            use(run)
    if run:
        with pytest.raises(errors.McloudError, match="is not the id of a run"):
            state.begin_run(command="a", role=Role.JOINER, run=run)


# -- pins


def test_pins_are_per_run_and_can_be_forgotten(state):
    state.pin("one", "n2", "aa", "PEM 2")
    state.pin("one", "n3", "bb", "PEM 3")
    state.pin("one", "n2", "cc", "PEM 4")
    state.pin("two", "n2", "dd", "PEM 5")
    again = State(state.folder)
    assert again.pins("one") == {"n2": ("cc", "PEM 4"), "n3": ("bb", "PEM 3")}
    assert again.pins("one")["n3"].fingerprint == "bb"
    again.forget("one")
    assert (state.pins("one"), set(state.pins("two"))) == ({}, {"n2"})


# -- the cloud


def test_the_clouds_record_comes_back_as_it_went(state):
    state.write_cloud({"name": "häuschen", "members": ["n1"]})
    assert State(state.folder).read_cloud() == {"name": "häuschen", "members": ["n1"]}
    state.write_cloud(None)
    assert state.read_cloud() is None


@pytest.mark.parametrize(
    ("name", "content"), [("cloud.json", b"[]"), ("cloud.json", b"{"), ("cloud.json", b"\xff")]
)
def test_a_damaged_record_is_said_to_be_so(state, name, content):
    state.prepare()
    (state.folder / name).write_bytes(content)
    with pytest.raises(errors.McloudError, match=r"cloud\.json is damaged"):
        state.read_cloud()


def test_damaged_pins_and_index_are_said_to_be_so(state):
    state.prepare()
    (state.folder / "runs/index").write_text("[]\n")
    (state.folder / "runs/one.pins").write_text("[]")
    with pytest.raises(errors.McloudError, match="index is damaged"):
        state.runs()
    with pytest.raises(errors.McloudError, match=r"one\.pins is damaged"):
        state.pins("one")


def test_what_the_disk_refuses_is_said_with_its_path(state):
    state.prepare()
    (state.folder / "cloud.json").mkdir()
    with pytest.raises(errors.McloudError, match=r"cloud\.json"):
        state.write_cloud({})


# -- the lock


def test_a_second_run_is_told_who_holds_the_lock(state):
    with state.lock("mcloud init home.yaml"):
        with pytest.raises(errors.McloudError) as caught, State(state.folder).lock("mcloud undo"):
            pytest.fail("two runs at once")
        assert f"`mcloud init home.yaml` (process {os.getpid()}, since 20" in caught.value.message
        assert caught.value.hint
    with state.lock("mcloud undo"):
        pass


def test_the_lock_is_free_again_after_a_failure_inside_which_stays_what_it_was(state):
    with pytest.raises(OSError, match="of the run"), state.lock("a"):
        raise OSError(5, "of the run")
    with state.lock("b"):
        pass


def test_a_holder_that_has_not_said_who_it_is_still_holds(state):
    with state.lock("a"):
        (state.folder / "lock").write_text("")
        with pytest.raises(errors.McloudError, match="another mcloud is at work"), state.lock("b"):
            pytest.fail("two runs at once")


def test_the_lock_ends_with_a_killed_holder(state):
    script = (
        "import sys\nfrom mcloud.state import State\n"
        f"with State({str(state.folder)!r}).lock('mcloud init'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(errors.McloudError, match=f"process {holder.pid}"), state.lock("b"):
            pytest.fail("two runs at once")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with state.lock("b"):
        pass


def _pin_many(folder, name):
    state = State(folder)
    for count in range(200):
        state.pin("one", name, str(count), "PEM")


def test_killed_at_any_moment_the_pins_are_whole(state):
    state.prepare()
    for patience in (0.02, 0.05, 0.09):
        writer = multiprocessing.get_context("fork").Process(target=_pin_many, args=(state.folder, "n2"))
        writer.start()
        writer.join(patience)
        writer.kill()
        writer.join()
        assert set(state.pins("one")) <= {"n2"}
        state.pin("one", "n2", "after", "PEM")
        assert state.pins("one")["n2"].fingerprint == "after"
