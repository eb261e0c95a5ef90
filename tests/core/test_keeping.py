"""Files of others: kept whole beside the journal, put back as they were, never thrown away."""

import json
import os
import stat

import pytest

from mcloud import PluginError, ServiceError, Step
from mcloud.keeping import KeptFiles
from mcloud.localhost import LocalHost
from mcloud.preview import look
from mcloud.run import Execution
from mcloud.testing import FakeFile, FakeHost, PowerLost
from mcloud.undo import undo

PATH = "/etc/somebody/own.conf"
THEIRS = b"\x00\xff no text at all \xfe\n"
SECRET = "tulip-hammer-42"


@pytest.fixture(params=["fake", "real"])
def machine(request, world, tmp_path):
    """Return a world whose machine is in memory, or a folder of this one."""
    if request.param == "real":
        (tmp_path / "root/etc").mkdir(parents=True)
        world.host = LocalHost(world.known, root=str(tmp_path / "root"))
        world.host.settling = 0.2
    return world


class Writing:
    """A step that replaces a file, as a plugin's would."""

    def __init__(self, path=PATH, word="ours"):
        self.path, self.word, self.fails = path, word, False

    @property
    def step(self):
        return Step(name="write", run=self.run, probe=self.probe, undo=self.undo)

    def run(self, ctx):
        ctx.keep_file(self.path)
        ctx.host.write(self.path, self.word)
        if self.fails:
            raise ServiceError("no such luck")

    def probe(self, ctx):
        return () if ctx.host.image(self.path).content == self.word.encode() else None

    def undo(self, ctx):
        ctx.restore_file(self.path)


@pytest.fixture
def writing():
    return Writing()


def taken_back(world, lane):
    """Undo in a new process; return what was reported."""
    around, said = world.around(lane), []
    undone = undo(around, watch=lambda happening: said.append(happening.text))
    assert not undone.left
    return [text for text in said if text]


def beside(world, suffix):
    folder = world.path.with_suffix(suffix)
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def plant(host, content=THEIRS, mode=0o640, owner=None):
    host.write(PATH, content, mode=mode, owner=owner or (f"{os.getuid()}:{os.getgid()}"))
    return host.image(PATH)


def test_a_file_comes_back_byte_for_byte_with_mode_and_owner(machine, lane, writing):
    before = plant(machine.host, mode=0o600, owner="4711:4712")
    machine.run(lane(writing.step))
    assert machine.host.image(PATH).content == b"ours"
    assert taken_back(machine, lane(writing.step)) == []
    assert machine.host.image(PATH) == before


def test_what_was_not_there_goes_with_the_folders_that_were_made_for_it(machine, lane, writing):
    machine.run(lane(writing.step))
    assert machine.host.stat("/etc/somebody").kind == "folder"
    taken_back(machine, lane(writing.step))
    assert machine.host.stat("/etc/somebody") is None
    assert machine.host.image(PATH).missing == ("/etc/somebody",)


def test_a_folder_with_something_of_others_in_it_stays(machine, lane, writing):
    machine.run(lane(writing.step))
    machine.host.write("/etc/somebody/else", "theirs")
    taken_back(machine, lane(writing.step))
    assert machine.host.read("/etc/somebody/else") == "theirs"
    assert machine.host.read(PATH) is None


def test_a_folder_goes_whichever_of_two_steps_is_undone_first(machine, lane, writing):
    """Both kept files in it; only one of them saw that it was not there."""
    other = Writing("/etc/somebody/second")
    steps = lane(
        Step(name="a", run=writing.run, probe=writing.probe, undo=writing.undo),
        Step(name="b", run=other.run, probe=other.probe, undo=other.undo),
    )
    machine.run(steps)
    around = machine.around(steps)
    KeptFiles(around.journal).restore(machine.host, "join/fruit/n1/n1/a", PATH)
    assert machine.host.stat("/etc/somebody") is not None
    taken_back(machine, steps)
    assert machine.host.stat("/etc/somebody") is None


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_a_link(machine, lane, writing, dangling):
    target = "/etc/real.conf"
    machine.host.write(target, THEIRS, mode=0o600)
    link(machine.host, PATH, "../real.conf")
    if dangling:
        machine.host.write(target, None)
    before = machine.host.image(PATH)
    assert (before.link, before.target) == ("../real.conf", target)
    machine.run(lane(writing.step))
    taken_back(machine, lane(writing.step))
    assert machine.host.image(PATH) == before
    assert (machine.host.stat(target) is None) == dangling


def test_a_link_that_was_removed_is_a_link_again(machine, lane, writing):
    """A step may remove a link, and write a file in its place."""
    machine.host.write("/etc/real.conf", THEIRS)
    link(machine.host, PATH, "/etc/real.conf")
    before = machine.host.image(PATH)
    machine.run(lane(writing.step))
    machine.host.write(PATH, None)
    machine.host.write(PATH, "ours")
    machine.host.write("/etc/real.conf", THEIRS)
    taken_back(machine, lane(writing.step))
    assert machine.host.image(PATH) == before


def test_where_the_path_leads_elsewhere_now_nothing_is_touched(machine, lane, writing):
    for name in "ab":
        machine.host.write(f"/etc/{name}", f"theirs {name}")
    link(machine.host, "/etc/way", "a")
    link(machine.host, PATH, "/etc/way")
    machine.run(lane(writing.step))
    link(machine.host, "/etc/way", "b")
    around = machine.around(lane(writing.step))
    (reason,) = undo(around).left.values()
    assert "it led to /etc/a, and would lead to /etc/b now" in reason
    assert machine.host.read("/etc/b") == "theirs b"


def link(host, path, says):
    if isinstance(host, FakeHost):
        host.put_back(path, host.image(path))
        host.files[path] = FakeFile(content=says.encode(), kind="link")
        return
    place = host._at(path, last=False)
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(says)


def test_what_somebody_made_of_it_since_is_kept_for_him_and_told(machine, lane, writing):
    before = plant(machine.host)
    machine.run(lane(writing.step))
    machine.host.write(PATH, b"ours, and a line of the operator's")
    (said,) = taken_back(machine, lane(writing.step))
    assert machine.host.image(PATH) == before
    (aside,) = beside(machine, ".aside")
    assert said == f"{PATH} was changed after mcloud wrote it: what was there now is kept as {aside}"
    assert aside.read_bytes() == b"ours, and a line of the operator's"
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    told = [line.get("note") for line in machine.journal().lines() if line["event"] == "restored"]
    assert told == [said]


def test_a_file_that_is_gone_comes_back(machine, lane, writing):
    before = plant(machine.host)
    machine.run(lane(writing.step))
    machine.host.write(PATH, None)
    assert taken_back(machine, lane(writing.step)) == []
    assert machine.host.image(PATH) == before


def test_of_a_failed_step_it_is_known_what_it_made(machine, lane, writing):
    before = plant(machine.host)
    writing.fails = True
    with pytest.raises(Exception, match="failed"):
        machine.run(lane(writing.step))
    assert taken_back(machine, lane(writing.step)) == []
    assert machine.host.image(PATH) == before


def test_the_first_image_wins_also_when_a_half_done_step_runs_again(machine, lane, writing):
    before = plant(machine.host)
    writing.fails = True
    with pytest.raises(Exception, match="failed"):
        machine.run(lane(writing.step))
    writing.fails, writing.word = False, "ours at last"
    machine.run(lane(writing.step))
    assert machine.host.read(PATH) == "ours at last"
    taken_back(machine, lane(writing.step))
    assert machine.host.image(PATH) == before


def test_two_steps_that_write_one_file_are_taken_back_one_after_another(machine, lane, writing):
    later = Writing(word="ours, later")
    steps = lane(writing.step, Step(name="later", run=later.run, probe=later.probe, undo=later.undo))
    before = plant(machine.host)
    machine.run(steps)
    assert taken_back(machine, steps) == []
    assert machine.host.image(PATH) == before


def test_what_is_kept_is_for_root_alone_never_in_the_journal_and_goes_with_the_run(machine, lane, writing):
    machine.known.add(SECRET)
    plant(machine.host, content=f"key = {SECRET}\n", mode=0o600)
    machine.run(lane(writing.step))
    kept = beside(machine, ".kept")
    assert len(kept) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700
    assert SECRET not in machine.path.read_text()
    taken_back(machine, lane(writing.step))
    assert not machine.path.with_suffix(".kept").exists()
    assert machine.host.read(PATH) == f"key = {SECRET}\n"


def test_a_file_that_all_could_read_is_put_back_whatever_it_holds(machine, lane, writing):
    """That it holds a secret of ours is the operator's doing: it is as it was."""
    before = plant(machine.host, content=f"key = {SECRET}\n", mode=0o644)
    machine.known.add(SECRET)
    machine.run(lane(writing.step))
    taken_back(machine, lane(writing.step))
    assert machine.host.image(PATH) == before


@pytest.mark.parametrize("there", ["folder", "device"])
def test_what_is_no_file_is_refused_before_anything_is_changed(world, lane, writing, there):
    world.host.files[PATH] = FakeFile(kind="folder" if there == "folder" else "other")
    with pytest.raises(Exception, match="failed") as caught:
        world.run(lane(writing.step))
    assert "is no file" in str(caught.value.exceptions[0])
    assert list(world.host.files) == [PATH]


def test_a_link_to_a_device_is_refused_and_the_device_lives(tmp_path, world):
    """A unit is masked by a link to /dev/null: written through it, the device would be a file."""
    host = LocalHost(world.known, root=str(tmp_path))
    (tmp_path / "etc").mkdir()
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/null")
    (tmp_path / "etc/masked").symlink_to("/dev/null")
    for use in (lambda: host.image("/etc/masked"), lambda: host.write("/etc/masked", "ours")):
        with pytest.raises(ServiceError, match="is no file"):
            use()
    assert stat.S_ISFIFO((tmp_path / "dev/null").stat().st_mode)


def test_what_is_too_large_to_be_kept_is_refused(tmp_path, world):
    host = LocalHost(world.known, root=str(tmp_path))
    (tmp_path / "large").write_bytes(b"x" * (8 * 2**20 + 1))
    with pytest.raises(ServiceError, match="larger than"):
        host.image("/large")


def test_an_owner_is_taken_in_numbers_that_nobody_has(tmp_path, world):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    host = LocalHost(world.known, root=str(tmp_path))
    host.write("/x", "y", owner="4711:4712")
    found = (tmp_path / "x").stat()
    assert (found.st_uid, found.st_gid) == (4711, 4712)


# ---- power cuts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_wherever_the_power_fails_undo_restores(world, lane, there):
    point = 0
    while True:
        world.path.unlink(missing_ok=True)
        for path in (*beside(world, ".kept"), *beside(world, ".aside")):
            path.unlink()
        writing, point = Writing(), point + 1
        world.host = FakeHost(settling=0.2)
        if there:
            plant(world.host, owner="me:us", mode=0o600)
        before = (dict(world.host.files), world.host.folders)
        cut = until(world, lane(writing.step), point)
        world.host.off, world.host.before = False, lambda _what: None
        taken_back(world, lane(writing.step))
        assert (dict(world.host.files), world.host.folders) == before, f"cut at use {point}"
        if not cut:
            break
    assert point > 5


def until(world, lane, point):
    """Run, and undo, until a use of the machine at which the power fails; return whether it did."""
    left = [point]

    def use(_what):
        left[0] -= 1
        if left[0] == 0:
            world.host.off = True
            raise PowerLost

    world.host.before = use
    try:
        Execution(world.around(lane)).run("enter")
        undo(world.around(lane))
    except BaseException as error:
        if not world.host.off:
            raise
        assert isinstance(error, PowerLost | Exception)
    return world.host.off


def test_a_kept_file_that_is_damaged_is_told_and_nothing_is_touched(world, lane, writing):
    plant(world.host)
    world.run(lane(writing.step))
    for path in beside(world, ".kept"):
        path.write_text(json.dumps({"image": {"content": "secret words"}}))
    (reason,) = undo(world.around(lane(writing.step))).left.values()
    assert "is damaged or gone" in reason
    assert "secret words" not in reason
    assert world.host.read(PATH) == "ours"
    assert beside(world, ".kept")


def test_a_step_whose_service_is_gone_has_its_files_put_back(world, lane):
    """Its own undo failed, and nothing is left of it: what it kept is not forgotten."""
    writing = Writing()
    before = plant(world.host)

    def fails(_ctx):
        raise ServiceError("nobody answers any more")

    def run(ctx):
        writing.run(ctx)
        ctx.host.write("/var/lib/service", "it lives, with us in it")

    def lives(ctx):
        return () if ctx.host.read("/var/lib/service") == "it lives, with us in it" else None

    founding = Writing("/var/lib/service")
    lanes = (
        lane(Step(name="found", run=founding.run, probe=founding.probe, undo=founding.undo)),
        lane(
            Step(name="inside", run=run, probe=lives, undo=fails),
            stage="configure",
            hook="configure",
        ),
    )
    execution = world.execution(*lanes)
    execution.run("enter")
    execution.run("configure")
    around = world.around(*lanes)
    undone = undo(around)
    assert not undone.left
    assert world.host.image(PATH) == before


def test_looking_keeps_and_restores_nothing(world, lane):
    for deed in ("keep_file", "restore_file"):
        one = Step(name="a", run=lambda _ctx: None, probe=lambda ctx, deed=deed: getattr(ctx, deed)(PATH))
        with pytest.raises(PluginError, match="probe"):
            look(world.around(lane(one)), lane(one), one)


# ---- files that a later step changes ------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_what_a_later_step_changes_is_still_ours(world, lane, writing, there):
    """Else each undo would keep aside, for nobody, what mcloud itself wrote."""
    before = plant(world.host) if there else world.host.image(PATH)
    around = world.run(lane(writing.step)).around
    KeptFiles(around.journal).change(world.host, PATH, b"ours, more")
    assert world.host.read(PATH) == "ours, more"
    assert taken_back(world, lane(writing.step)) == []
    assert world.host.image(PATH) == before


def test_what_somebody_changed_is_still_his_after_a_later_step(world, lane, writing):
    before = plant(world.host)
    around = world.run(lane(writing.step)).around
    world.host.write(PATH, "ours, his", mode=0o600, owner="me:us")
    KeptFiles(around.journal).change(world.host, PATH, b"ours, his, more")
    assert (world.host.image(PATH).owner, world.host.image(PATH).mode) == ("me:us", 0o600)
    (said,) = taken_back(world, lane(writing.step))
    assert "was changed after mcloud wrote it" in said
    assert beside(world, ".aside")[0].read_text() == "ours, his, more"
    assert world.host.image(PATH) == before


def test_only_run_changes_files(world, lane):
    one = Step(name="a", run=lambda _ctx: None, probe=lambda ctx: ctx.change_file(PATH, "x"))
    with pytest.raises(PluginError, match="in its probe"):
        look(world.around(lane(one)), lane(one), one)


def test_a_file_that_is_gone_is_not_changed(world, lane):
    around = world.around(lane(Writing().step))
    with pytest.raises(ServiceError, match="is gone"):
        KeptFiles(around.journal).change(world.host, PATH, b"x")
