"""The only import of pluggy's machinery: load plugins by name, fence them, call each hook typed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from typing import Any, Self

import pluggy
from pydantic import SecretStr

from mcloud import hookspecs
from mcloud.errors import McloudError, PluginError, SettingsError
from mcloud.host import Host
from mcloud.model import API, Beacon, Channel, Check, Manifest, Node, Role, Search, ServiceState
from mcloud.steps import Step

GROUP = "mcloud"
CORE_SECTIONS = frozenset({"mcloud", "cloud", "meet", "each", "machines", "core"})
"""Names a plugin cannot have: sections of the file that are the core's own, and the core itself."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that could not be loaded, and why."""

    name: str
    reason: str


class Plugins:
    """All plugins of this installation, each called alone and by name."""

    def __init__(self) -> None:
        """Begin with none; use `load` or `of`."""
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self.manifests: dict[str, Manifest] = {}
        self.versions: dict[str, str] = {}
        self.broken: dict[str, Broken] = {}

    @classmethod
    def load(cls, *, without: Iterable[str] = ()) -> Self:
        """Load all entry points of group `mcloud`, in the order of their names. Never raises."""
        plugins, left_out = cls(), set(without)
        found: dict[str, list[Any]] = {}
        for point in entry_points(group=GROUP):
            found.setdefault(point.name, []).append(point)
        for name in sorted(found):
            if name in left_out:
                continue
            makers = sorted(point.dist.name if point.dist else "?" for point in found[name])
            if len(makers) > 1:
                plugins.broken[name] = Broken(name, f"installed twice, by {' and by '.join(makers)}")
                continue
            try:
                plugins._register(name, found[name][0].load())
                plugins.versions[name] = version(makers[0])
            except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything; --help must work
                plugins._forget(name)
                plugins.broken[name] = Broken(name, f"{type(error).__name__}: {error}")
        return plugins

    @classmethod
    def of(cls, **modules: object) -> Self:
        """Take given modules or objects under these names; for tests. Raises PluginError for a broken one."""
        plugins = cls()
        for name, module in sorted(modules.items()):
            plugins._register(name, module)
            plugins.versions[name] = "0"
        return plugins

    def require(self, names: Iterable[str]) -> None:
        """Refuse (SettingsError) plugins that were named and are broken or missing."""
        problems = [
            f"{name}: {self.broken[name].reason}"
            if name in self.broken
            else f"{name}: no such plugin is installed"
            for name in names
            if name not in self.manifests
        ]
        if problems:
            raise SettingsError(
                "plugins that were asked for cannot be used",
                problems=problems,
                hint=f"`mcloud plugins` lists all; there are {', '.join(sorted(self.manifests)) or 'none'}",
            )

    def having(self, hook: str) -> tuple[str, ...]:
        """Return the names of the plugins that implement a hook."""
        caller = getattr(self._manager.hook, hook)
        return tuple(sorted(impl.plugin_name for impl in caller.get_hookimpls()))

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the plugins that a section of the file switches on: those with a `join`."""
        return self.having("join")

    # ---- one typed method per hook -------------------------------------------------------------------

    def inspect(self, name: str, *, host: Host) -> ServiceState | None:
        """Look at one plugin's service on this machine."""
        state: ServiceState | None = self._one("inspect", name, host=host)
        return state

    def preflight(
        self, name: str, *, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any]
    ) -> tuple[Check, ...]:
        """Return one plugin's findings over all machines."""
        return self._all("preflight", name, nodes=nodes, settings=settings, node_settings=node_settings)

    def announce(self, name: str, *, beacon: Beacon, settings: Any) -> AbstractContextManager[None]:
        """Return the context in which one discovery plugin makes the initiator findable."""
        context: AbstractContextManager[None] = self._one("announce", name, beacon=beacon, settings=settings)
        return context

    def discover(self, name: str, *, search: Search, settings: Any) -> Iterator[Beacon]:
        """Yield what one discovery plugin finds."""
        with self._fence(name, "discover"):
            yield from self._one("discover", name, search=search, settings=settings) or ()

    def trust(self, name: str, *, channel: Channel, code: SecretStr, role: Role, binding: bytes) -> None:
        """Let one trust plugin prove both sides to each other; raises what it raises."""
        self._one("trust", name, channel=channel, code=code, role=role, binding=binding)

    def bootstrap(self, name: str, **asked: Any) -> tuple[Step, ...]:
        """Return the steps that found one plugin's service."""
        return self._all("bootstrap", name, **asked)

    def issue_token(self, name: str, **asked: Any) -> tuple[Step, ...]:
        """Return the steps that let one machine join one plugin's service."""
        return self._all("issue_token", name, **asked)

    def join(self, name: str, **asked: Any) -> tuple[Step, ...]:
        """Return one machine's steps of one plugin."""
        return self._all("join", name, **asked)

    def configure(self, name: str, **asked: Any) -> tuple[Step, ...]:
        """Return the steps that set the cloud up as a whole."""
        return self._all("configure", name, **asked)

    def adapt(self, name: str, **asked: Any) -> tuple[Step, ...]:
        """Return the steps that bring one machine in line."""
        return self._all("adapt", name, **asked)

    def reset(self, name: str, **asked: Any) -> tuple[Step, ...]:
        """Return the steps that end one plugin's service on this machine."""
        return self._all("reset", name, **asked)

    # ---- the fence -----------------------------------------------------------------------------------

    def _one(self, hook: str, name: str, **given: Any) -> Any:
        others = [self._manager.get_plugin(other) for other in self.manifests if other != name]
        caller = self._manager.subset_hook_caller(hook, others)
        with self._fence(name, hook):
            results = caller(**given)
        return results[0] if results else None

    def _all(self, hook: str, name: str, **given: Any) -> tuple[Any, ...]:
        with self._fence(name, hook):
            return tuple(self._one(hook, name, **given) or ())

    @contextmanager
    def _fence(self, name: str, hook: str) -> Iterator[None]:
        try:
            yield
        except McloudError:
            raise
        except Exception as error:
            raise PluginError(
                f"plugin {name} failed in {hook}: {type(error).__name__}: {error}",
                plugin=name,
                hint=f"nothing was changed by this; tell the author, or leave it out with --without {name}",
            ) from error

    def _register(self, name: str, module: object) -> None:
        if name in CORE_SECTIONS:
            raise PluginError(f"{name} is a name of the core's own", plugin=name)
        self._manager.register(module, name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(str(error), plugin=name) from None
        self.manifests[name] = _fitting(name, self._one("manifest", name))

    def _forget(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self.manifests.pop(name, None)


def _fitting(name: str, manifest: object) -> Manifest:
    if not isinstance(manifest, Manifest):
        raise PluginError(
            "it has no manifest", plugin=name, hint="every plugin implements the hook `manifest`"
        )
    if manifest.api != API:
        raise PluginError(f"it was written for API {manifest.api}, this mcloud has {API}", plugin=name)
    return manifest
