"""The only import of pluggy's machinery: load plugins by name, fence them, call each hook typed, in time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points, version
from typing import Any, Self, TypeVar

import pluggy
from pydantic import SecretStr

from mcloud import hookspecs
from mcloud.calls import within
from mcloud.deadlines import LOOKING, MEETING, THINKING
from mcloud.errors import McloudError, PluginError, SettingsError
from mcloud.host import Host
from mcloud.model import API, Beacon, Channel, Check, Manifest, Node, Role, Search, ServiceState
from mcloud.steps import Step
from mcloud.tenure import Tenure, tenured

T = TypeVar("T")

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

    def __init__(self, *, stretch: float = 1.0) -> None:
        """Begin with none; use `load` or `of`. `stretch` is for deadlines until a machine is known."""
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self.manifests: dict[str, Manifest] = {}
        self.versions: dict[str, str] = {}
        self.broken: dict[str, Broken] = {}
        self._stretch = stretch
        self._host: Host | None = None

    @classmethod
    def load(cls, *, without: Iterable[str] = (), stretch: float = 1.0) -> Self:
        """Load all entry points of group `mcloud`, in the order of their names. Never raises.

        One that does not come back in time is broken, as one that raises.
        """
        plugins, left_out = cls(stretch=stretch), set(without)
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
                plugins._register(name, plugins._timed("import", name, THINKING, found[name][0].load))
                plugins.versions[name] = version(makers[0])
            except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything; --help must work
                plugins._forget(name)
                plugins.broken[name] = Broken(name, f"{type(error).__name__}: {error}")
        return plugins

    def here(self, host: Host) -> None:
        """Know the machine they are called on: its name is in what is said of one that hangs."""
        self._host = host

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
        tenure = self._tenure("inspect", name, LOOKING)
        asked = partial(self._called, "inspect", name, host=tenured(host, tenure))
        with self._fence(name, "inspect"):
            state: ServiceState | None = within(asked, tenure)
        return state

    def preflight(
        self, name: str, *, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any]
    ) -> tuple[Check, ...]:
        """Return one plugin's findings over all machines."""
        return self._all("preflight", name, nodes=nodes, settings=settings, node_settings=node_settings)

    @contextmanager
    def announce(self, name: str, *, beacon: Beacon, settings: Any) -> Iterator[None]:
        """Have one discovery plugin make the initiator findable while this is open."""
        with self._fence(name, "announce"):
            context: AbstractContextManager[None] = self._one(
                "announce", name, beacon=beacon, settings=settings
            )
            self._timed("announce", name, MEETING, context.__enter__)
        try:
            yield
        finally:
            with self._fence(name, "announce"):
                self._timed("announce", name, MEETING, partial(context.__exit__, None, None, None))

    def discover(self, name: str, *, search: Search, settings: Any) -> Iterator[Beacon]:
        """Yield what one discovery plugin finds."""
        with self._fence(name, "discover"):
            # In a thread of its own, which is not waited for after the search's time.
            yield from self._called("discover", name, search=search, settings=settings) or ()

    def trust(self, name: str, *, channel: Channel, code: SecretStr, role: Role, binding: bytes) -> None:
        """Let one trust plugin prove both sides to each other; raises what it raises."""
        asked = {"channel": channel, "code": code, "role": role, "binding": binding}
        with self._fence(name, "trust"):
            self._timed("trust", name, MEETING, partial(self._called, "trust", name, **asked))

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
        with self._fence(name, hook):
            return self._timed(hook, name, THINKING, partial(self._called, hook, name, **given))

    def _all(self, hook: str, name: str, **given: Any) -> tuple[Any, ...]:
        with self._fence(name, hook):
            # What a hook yields is made while it is taken.
            return self._timed(hook, name, THINKING, lambda: tuple(self._called(hook, name, **given) or ()))

    def _called(self, hook: str, name: str, **given: Any) -> Any:
        others = [self._manager.get_plugin(other) for other in self.manifests if other != name]
        results = self._manager.subset_hook_caller(hook, others)(**given)
        return results[0] if results else None

    def _timed(self, hook: str, name: str, seconds: float, call: Callable[[], T]) -> T:
        return within(call, self._tenure(hook, name, seconds))

    def _tenure(self, hook: str, name: str, seconds: float) -> Tenure:
        where = f"{self._host.name}: " if self._host is not None else ""
        stretch = self._host.stretch if self._host is not None else self._stretch
        return Tenure(f"{where}{name} in {hook}", plugin=name, seconds=seconds, stretch=stretch)

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
