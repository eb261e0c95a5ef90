"""Hooks and imports that hang: each ends with the names of plugin, hook and machine."""

import inspect
import threading
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace

import pytest

from mcloud import Manifest, hookimpl, hookspecs, plugins
from mcloud.announcing import announced
from mcloud.errors import DiscoveryError, Overdue
from mcloud.gathering import checked
from mcloud.here import Here
from mcloud.inputs import Inputs
from mcloud.model import Beacon, Node, Role
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.testing import FakeHost

SHORT = 0.3
ARGUMENTS = {
    name: inspect.signature(hook).parameters for name, hook in vars(hookspecs).items() if callable(hook)
}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr("mcloud.calls.ORDERLY", 0.2)
    for name in ("THINKING", "LOOKING", "MEETING"):
        monkeypatch.setattr(f"mcloud.plugins.{name}", SHORT)


@pytest.fixture
def hang():
    """Return what hangs until the test is over."""
    wake = threading.Event()
    yield lambda *_given: wake.wait(20)
    wake.set()


def _plugin(**hooks):
    module = ModuleType("fruit")
    module.manifest = hookimpl(lambda: Manifest(api=1, summary="Fruit"))
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def _installed(hang, **hooks):
    found = Plugins.of(fruit=_plugin(**hooks))
    found.here(FakeHost(name="n1"))
    return found


def test_an_import_that_hangs_makes_a_broken_plugin_and_the_others_work(monkeypatch, hang):
    class Point(EntryPoint):
        def load(self):
            return hang() if self.name == "slow" else _plugin()

    points = [Point(name, "m", plugins.GROUP)._for(SimpleNamespace(name="d")) for name in ("quick", "slow")]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: points if group == "mcloud" else [])
    monkeypatch.setattr(plugins, "version", lambda _dist: "1")
    found = Plugins.load()
    assert list(found.manifests) == ["quick"]
    assert "slow in import did not come back within 0.3 s" in found.broken["slow"].reason


@pytest.mark.parametrize("hook", ["bootstrap", "issue_token", "join", "configure", "adapt", "reset"])
@pytest.mark.parametrize("lazily", [False, True])
def test_a_hook_that_plans_and_hangs(hang, hook, lazily):
    def called():
        return hang()

    def yields():
        hang()
        yield None

    found = _installed(hang, **{hook: yields if lazily else called})
    with pytest.raises(Overdue, match=rf"n1: fruit in {hook} did not come back within 0\.3 s, at test_calls"):
        getattr(found, hook)("fruit", **dict.fromkeys(ARGUMENTS[hook]))


def test_an_inspect_that_hangs_says_so_in_its_own_line(hang, tmp_path):
    found = _installed(hang, inspect=lambda host: hang(host) or None, join=lambda: ())
    here = Here(found, FakeHost(name="n1", answer=lambda _argv: ""), Secrets())
    state = here._inspect("fruit")
    assert not state.installed
    assert "n1: fruit in inspect did not come back within 0.3 s" in state.note


def test_an_inspect_that_hangs_and_wakes_up_is_refused_the_machine(hang):
    kept = []
    found = _installed(hang, inspect=lambda host: kept.append(host) or hang(host))
    real = FakeHost(name="n1")
    with pytest.raises(Overdue):
        found.inspect("fruit", host=real)
    with pytest.raises(Overdue, match="may not write /x any more"):
        kept[0].write("/x", "y")
    assert real.files == {}


def test_a_preflight_that_hangs_ends_what_was_begun(hang):
    found = _installed(hang, join=lambda: (), preflight=lambda nodes: hang(nodes) or ())
    node = Node(name="n1", addresses=("10.0.0.1",), founder=True)
    inputs = Inputs(run="0" * 16, command="init", cloud="c", nodes=(node,), services=("fruit",))
    with pytest.raises(Overdue, match="n1: fruit in preflight did not come back"):
        checked(found, inputs)


def test_a_trust_that_hangs(hang):
    found = _installed(
        hang, trust=lambda channel, code, role, binding: hang(channel, code, role, binding) or None
    )
    with pytest.raises(Overdue, match="n1: fruit in trust did not come back"):
        found.trust("fruit", channel=None, code=None, role=Role.JOINER, binding=b"")


BEACON = Beacon.model_validate({"name": "n1", "address": "10.0.0.1", "port": 9442})


class _Announcement:
    def __init__(self, enter, leave):
        self._enter, self._leave = enter, leave

    def __enter__(self):
        self._enter()

    def __exit__(self, *_what):
        self._leave()


def _nothing():
    pass


def test_an_announcement_that_does_not_begin(hang):
    found = _installed(hang, announce=lambda beacon: _Announcement(hang, _nothing))
    told = []
    with (
        pytest.raises(DiscoveryError),
        announced(BEACON, plugins=found, discovery=["fruit"], settings={}, notice=told.append),
    ):
        pass
    assert "n1: fruit in announce did not come back" in told[0]


def test_an_announcement_that_does_not_end_takes_nothing_from_what_was_done(hang):
    found = _installed(hang, announce=lambda beacon: _Announcement(_nothing, hang))
    told = []
    with announced(BEACON, plugins=found, discovery=["fruit"], settings={}, notice=told.append):
        pass
    assert "fruit does not end its announcement: n1: fruit in announce did not come back" in told[0]
