"""Who comes back is given anew what was revoked meanwhile, by plugins that know nothing of it, too."""

import itertools
from collections import Counter

import pytest
from trying import EVERYTHING, try_all

import mcloud.run
from mcloud import JoinToken, Manifest, ServiceError, Step, hookimpl
from mcloud.testing import FakeCloud, memory_folder

KEY = "/etc/key"


class Keys:
    """A stranger's plugin: each joiner has a key that the seat made, and looks only whether it has one."""

    def __init__(self, *fails):
        self.valid, self.numbers = {}, itertools.count(1)
        self.fails = Counter(fails)

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Keys")

    @hookimpl
    def issue_token(self, node):
        def issue(_ctx):
            self.valid[node.name] = f"key-{node.name}-{next(self.numbers):03d}"
            return [JoinToken(value=self.valid[node.name])]

        yield Step(name="make", run=issue, offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        if not node.founder:
            yield Step(
                name="key",
                run=lambda ctx: ctx.host.write(KEY, ctx.token.get_secret_value(), mode=0o600),
                probe=lambda ctx: () if ctx.host.stat(KEY) else None,
                undo=lambda ctx: ctx.host.write(KEY, None),
                needs=(JoinToken,),
            )
            yield self._late(node.name)

    @hookimpl
    def configure(self, fallen):
        names = [node.name for node in fallen]
        if fallen:
            yield Step(
                name="revoke",
                run=lambda _ctx: [self.valid.pop(name, None) for name in names] and None,
                probe=lambda _ctx: None if {*names} & {*self.valid} else (),
            )

    def _late(self, name):
        def run(ctx):
            if self.fails[name] > 0:
                self.fails[name] -= 1
                raise ServiceError("the disk is on fire")
            ctx.host.write("/etc/late", "done")

        return Step(
            name="late",
            run=run,
            probe=lambda ctx: () if ctx.host.read("/etc/late") else None,
            undo=lambda ctx: ctx.host.write("/etc/late", None),
        )


@pytest.fixture
def cloud_of(request):
    """Return a maker of clouds of three with a plugin, closed in the end."""

    def make(plugin, **more):
        folder = memory_folder()
        made = FakeCloud(3, folder=folder.__enter__(), plugins={"keys": plugin}, patience=4.0, **more)
        request.addfinalizer(lambda: (made.__exit__(), folder.__exit__(None, None, None)))
        return made

    return make


def members(cloud):
    return [member["name"] for member in cloud["n1"].cloud["members"]]


def key_on(cloud, name):
    return cloud[name].host.read(KEY)


def check_all_in(cloud, keys):
    assert members(cloud) == ["n1", "n2", "n3"]
    assert {name: key_on(cloud, name) for name in ("n2", "n3")} == keys.valid


@pytest.mark.parametrize("times", [1, 2])
def test_what_was_revoked_is_made_anew_each_time_a_machine_comes_back(cloud_of, times):
    keys = Keys(*["n2"] * times)
    cloud = cloud_of(keys)
    for _ in range(times):
        outcome = cloud.form()
        assert set(outcome.failures) == {"n2"}
        assert members(cloud) == ["n1", "n3"]
        assert "n2" not in keys.valid
        assert key_on(cloud, "n2"), "its own probe still sees the key that was revoked"
    cloud.form().good()
    check_all_in(cloud, keys)


def test_it_is_shown_and_undone_as_what_it_is(cloud_of):
    """The plan says that it runs again, members are not touched, and undo takes back the new one."""
    keys = Keys("n2")
    cloud = cloud_of(keys)
    cloud.form()
    before = key_on(cloud, "n3")
    cloud.form().good()
    shown = {line.key: line.to_do for line in cloud["n1"].person.plans["n2"]}
    assert shown["join/keys/n2/n2/key"]
    assert key_on(cloud, "n3") == before == keys.valid["n3"]
    assert cloud.undo("n2").left == {}
    assert key_on(cloud, "n2") is None


@pytest.mark.timeout(300 if EVERYTHING else 90)
def test_killed_at_every_line_of_coming_back():
    cases = [(name, number) for name in ("n1", "n2") for number in range(1, 16)]
    killed = []

    def attempt(case):
        name, number = case
        keys = Keys("n2")
        with (
            memory_folder() as folder,
            FakeCloud(3, folder=folder, plugins={"keys": keys}, patience=4.0) as cloud,
        ):
            cloud.form()
            cloud.kill_at(name, number, "after" if number % 2 else "before")
            for _ in range(3):
                killed.extend(cloud.form(seconds=28).killed)
            check_all_in(cloud, keys)

    try_all(cases if EVERYTHING else cases[::2], attempt)
    assert killed


def test_who_says_that_it_is_in_and_asked_for_nothing_anew_is_not_counted_in(cloud_of, monkeypatch):
    """The seat looks, too: a joiner that trusts its own eyes only is out, and the cloud stays as it was."""
    keys = Keys("n2")
    cloud = cloud_of(keys)
    cloud.form()
    monkeypatch.setattr(mcloud.run, "revoked", lambda *_what: False, raising=False)
    outcome = cloud.form()
    assert set(outcome.failures) == {"n2"}
    assert "asked for no new token of keys" in str(outcome.failures["n2"])
    assert members(cloud) == ["n1", "n3"]
    monkeypatch.undo()
    cloud.form().good()
    check_all_in(cloud, keys)
