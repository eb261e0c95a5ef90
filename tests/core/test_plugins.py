"""Plugins: found by entry point, fenced, called one by one, whatever they are."""

from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace

import pytest

from mcloud import Manifest, PluginError, ServiceError, SettingsError, hookimpl, plugins
from mcloud.model import Role
from mcloud.plugins import CORE_SECTIONS, Plugins


def _good():
    return Manifest(api=1, summary="good")


def _module(*, manifest=_good, **hooks):
    """Return a plugin with hooks, each given as a function."""
    module = ModuleType("some")
    for hook, function in {"manifest": manifest, **hooks}.items():
        if function is not None:
            setattr(module, hook, hookimpl(function))
    return module


@pytest.fixture
def entry_points(monkeypatch):
    """Have these be installed: (name, distribution, module or an exception)."""

    def have(*installed):
        class Point(EntryPoint):
            def load(self):
                found = next(
                    what for name, dist, what in installed if (name, dist) == (self.name, self.dist.name)
                )
                if isinstance(found, Exception):
                    raise found
                return found

        points = [
            Point(name, "m", plugins.GROUP)._for(SimpleNamespace(name=dist))
            for name, dist, _what in installed
        ]
        monkeypatch.setattr(plugins, "entry_points", lambda *, group: points if group == "mcloud" else [])
        monkeypatch.setattr(plugins, "version", lambda dist: f"version of {dist}")

    return have


def test_ours_are_found_like_a_strangers():
    found = Plugins.load()
    assert {"words", "static"} <= set(found.manifests)
    assert found.versions["words"] == found.versions["static"]


def test_all_that_is_installed_is_loaded_in_the_order_of_names(entry_points):
    entry_points(("b", "dist-b", _module()), ("a", "dist-a", _module()))
    found = Plugins.load()
    assert list(found.manifests) == ["a", "b"]
    assert found.versions == {"a": "version of dist-a", "b": "version of dist-b"}
    assert found.broken == {}


def test_one_can_be_left_out(entry_points):
    entry_points(("a", "dist", _module()), ("b", "dist", ValueError("broken")))
    assert list(Plugins.load(without=["b"]).manifests) == ["a"]
    assert Plugins.load(without=["b"]).broken == {}


def _nothing():
    return []


def _asking(settings):
    return []


def _asking_wrongly(setings):
    return []


@pytest.mark.parametrize(
    ("sinner", "reason"),
    [
        (ImportError("no module named numpy"), "ImportError: no module named numpy"),
        (SystemError("whatever"), "whatever"),
        (_module(manifest=None), "no manifest"),
        (_module(manifest=None, manifest_=_good), "manifest_"),
        (_module(jion=_nothing), "jion"),
        (_module(join=_asking_wrongly), "setings"),
        (_module(manifest=lambda: "a summary"), "no manifest"),
        (_module(manifest=lambda: Manifest(api=2, summary="")), "API 2"),
        (_module(manifest=lambda: 1 / 0), "division"),
        ("not a module", ""),
    ],
    ids=[
        "import",
        "any",
        "none",
        "unknown",
        "misspelt",
        "argument",
        "no Manifest",
        "other API",
        "raises",
        "string",
    ],
)
def test_a_broken_one_harms_no_other(entry_points, sinner, reason):
    entry_points(("good", "dist-g", _module(join=_asking)), ("sinner", "dist-s", sinner))
    found = Plugins.load()
    assert reason in found.broken["sinner"].reason
    assert list(found.manifests) == ["good"]
    assert found.having("join") == ("good",)
    assert found.having("manifest") == ("good",)
    assert found.join("good", **ASKED) == ()


def test_names_that_occur_twice_are_refused_naming_both(entry_points):
    entry_points(("lxd", "mcloud-cluster", _module()), ("lxd", "evil", _module()), ("b", "dist", _module()))
    found = Plugins.load()
    assert found.broken["lxd"].reason == "installed twice, by evil and by mcloud-cluster"
    assert list(found.manifests) == ["b"]


@pytest.mark.parametrize("name", sorted(CORE_SECTIONS))
def test_names_of_the_core_are_refused(entry_points, name):
    entry_points((name, "dist", _module()))
    assert "core's own" in Plugins.load().broken[name].reason


def test_what_was_asked_for_must_be_there(entry_points):
    entry_points(("good", "dist", _module()), ("sinner", "dist-s", ImportError("no numpy")))
    found = Plugins.load()
    found.require(["good"])
    with pytest.raises(SettingsError) as raised:
        found.require(["good", "sinner", "missing"])
    assert raised.value.problems == (
        "sinner: ImportError: no numpy",
        "missing: no such plugin is installed",
    )


# ---- calls ---------------------------------------------------------------------------------------------

ASKED = {"node": "n", "nodes": ("n",), "settings": "s", "node_settings": {}, "fallen": ()}


def test_each_is_called_alone_and_with_what_it_takes():
    called = []

    def one(node, settings):
        called.append(("one", node, settings))
        yield "step"

    def two(nodes):
        called.append(("two", nodes))

    found = Plugins.of(one=_module(join=one), two=_module(join=two))
    assert found.join("one", **ASKED) == ("step",)
    assert called == [("one", "n", "s")]
    assert found.join("two", **ASKED) == ()


def test_who_has_not_the_hook_returns_nothing():
    found = Plugins.of(one=_module(), two=_module(configure=lambda: ["step"]))
    assert found.configure("one", **ASKED) == ()
    assert found.inspect("one", host=None) is None


@pytest.mark.parametrize("hook", ["bootstrap", "issue_token", "join", "configure", "adapt"])
def test_a_plan_hook_that_raises_is_its_plugins_error(hook):
    def fail():
        yield "one"
        raise KeyError("oops")

    found = Plugins.of(sinner=_module(**{hook: fail}))
    with pytest.raises(PluginError, match=f"plugin sinner failed in {hook}: KeyError: 'oops'") as raised:
        getattr(found, hook)("sinner", **ASKED)
    assert raised.value.plugin == "sinner"
    assert "--without sinner" in raised.value.hint


def test_an_error_for_a_person_is_passed_on():
    def fail():
        raise ServiceError("the service is ill")

    with pytest.raises(ServiceError):
        Plugins.of(one=_module(inspect=lambda host: fail())).inspect("one", host=None)


def test_a_discovery_that_breaks_in_the_middle_is_its_plugins_error():
    def discover(search):
        yield "a beacon"
        raise OSError("no multicast here")

    found = Plugins.of(one=_module(discover=discover)).discover("one", search=None, settings=None)
    assert next(found) == "a beacon"
    with pytest.raises(PluginError, match="no multicast here"):
        next(found)


def test_trust_is_called_with_all_it_needs():
    heard = []

    def trust(channel, code, role, binding):
        heard.append((channel, code, role, binding))

    found = Plugins.of(one=_module(trust=trust), two=_module(trust=lambda: 1 / 0))
    found.trust("one", channel="c", code="s", role=Role.JOINER, binding=b"b")
    assert heard == [("c", "s", Role.JOINER, b"b")]


def test_preflight_gives_all_findings():
    found = Plugins.of(one=_module(preflight=lambda: iter(["a", "b"])))
    assert found.preflight("one", nodes=(), settings=None, node_settings={}) == ("a", "b")


def test_services_are_those_that_join():
    found = Plugins.of(a=_module(join=_asking), b=_module(discover=_nothing), c=_module(join=_asking))
    assert found.services == ("a", "c")


def test_nobody_wraps_anothers_plan():
    """A hook wrapper of one plugin is not even called for another."""
    module = _module()

    def join():
        steps = yield
        return [*steps, "one more"]

    module.join = hookimpl(wrapper=True)(join)
    found = Plugins.of(good=_module(join=lambda: ["step"]), wrapper=module)
    assert found.join("good", **ASKED) == ("step",)
