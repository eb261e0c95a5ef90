"""Reads the text of the file as a whole and reports every mistake in it at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mcloud.forms.check import check, overlay, piece
from mcloud.forms.core import FORMAT, Cloud, Machine, Meet, Name, Nothing
from mcloud.forms.document import Place, not_yaml, parse
from mcloud.forms.preseed import Preseed
from mcloud.forms.problems import Problems, did_you_mean
from mcloud.model import Manifest, Settings

CORE_SECTIONS = ("mcloud", "cloud", "meet", "each", "machines")
"""Sections of the file that are no plugin's; no plugin may have one of these names."""

_HOST_NAME: TypeAdapter[str] = TypeAdapter(Name)


def read(
    text: str,
    name: str,
    manifests: Mapping[str, Manifest],
    *,
    services: Collection[str],
    broken: Mapping[str, str] | None = None,
) -> Preseed:
    """Read the file's text; `name` is for messages, `services` are the plugins that offer `join`.

    `broken` are those that are installed and cannot be used, with the reason. Raise `SettingsError` whose
    `problems` are all mistakes, each `name:line key: what is wrong`.
    """
    document = parse(text, name)
    if not isinstance(document.tree, dict):
        raise not_yaml(name, 1, "should be a mapping of sections (`mcloud example` prints one)")
    number = document.tree.get("mcloud")
    if isinstance(number, int) and number > FORMAT:  # what else is in it, this version cannot judge
        reason = f"mcloud: format {number}; this mcloud reads format {FORMAT}"
        raise not_yaml(name, document.line(("mcloud",)), reason)
    able = frozenset(services) & manifests.keys()
    return _Reading(Problems(name, document), document.tree, manifests, able, broken or {}).preseed()


@dataclass
class _Reading:
    """One reading of one file: section after section, with what is wrong kept in `problems`."""

    problems: Problems
    tree: Mapping[str, Any]
    manifests: Mapping[str, Manifest]
    services: frozenset[str]
    broken: Mapping[str, str]

    def __post_init__(self) -> None:
        self.each = self._mapping(("each",), self.tree.get("each"))
        listed = self._mapping(("machines",), self.tree.get("machines"))
        self.bodies = {name: self._mapping(("machines", name), body) for name, body in listed.items()}

    def preseed(self) -> Preseed:
        """Check all sections; raise if anything is wrong anywhere."""
        self._check_top()
        cloud = check(Cloud, piece(self.tree.get("cloud"), ("cloud",)), self.problems)
        meet = check(Meet, piece(self.tree.get("meet"), ("meet",)), self.problems)
        machines = {name: self._machine(name) for name in self.bodies}
        used = self._used(meet)
        self._check_keys(("each",), self.each, used)
        for name, body in self.bodies.items():
            self._check_keys(("machines", name), body, used)
        settings = {name: self._settings(name) for name in used}
        node_settings = {name: self._node_settings(name) for name in used}
        self._check_fit(cloud, meet, machines)
        if self.problems or cloud is None or meet is None:
            raise self.problems.error()
        ordered = sorted(machines, key=lambda name: name != cloud.initiator)  # the rest stays in order
        return Preseed(
            cloud=cloud,
            meet=meet,
            machines=tuple(machine for name in ordered if (machine := machines[name]) is not None),
            services=tuple(name for name in used if name in self.services),
            plugin_settings={name: made for name, made in settings.items() if made is not None},
            plugin_node_settings={
                plugin: {name: made for name in ordered if (made := of_machines[name]) is not None}
                for plugin, of_machines in node_settings.items()
                if of_machines
            },
        )

    def _mapping(self, at: Place, tree: Any) -> dict[str, Any]:
        """Return a mapping of the file; an empty one where there is nothing or something else."""
        if tree is not None and not isinstance(tree, dict):
            self.problems.add(at, "should be a mapping (key: value)", void=True)
        return tree if isinstance(tree, dict) else {}

    def _check_top(self) -> None:
        number = self.tree.get("mcloud")
        if number != FORMAT or isinstance(number, bool):
            self.problems.add(("mcloud",), f"should be {FORMAT}, the format of this file")
        for key in self.tree:
            if key not in CORE_SECTIONS and key not in self.manifests:
                self.problems.add((key,), self._unknown(key, *CORE_SECTIONS))
        if not self.bodies:
            self.problems.add(("machines",), "should name at least one machine")

    def _unknown(self, plugin: str, *others: str) -> str:
        """Say why there is no such plugin."""
        if plugin in self.broken:
            return f"the plugin {plugin} cannot be used: {self.broken[plugin]}"
        return f"no plugin named {plugin} is installed{did_you_mean(plugin, (*others, *self.manifests))}"

    def _used(self, meet: Meet | None) -> list[str]:
        """Return the plugins whose settings are wanted: those with a section, and those that `meet` names."""
        meeting = {*meet.discovery, meet.trust} - self.services if meet else set()
        return sorted(name for name in self.manifests if name in self.tree or name in meeting)

    def _check_keys(self, at: Place, body: Mapping[str, Any], used: Collection[str]) -> None:
        """Note keys of `each` or of a machine that are not a plugin in use."""
        own = {"address"} if len(at) > 1 else set()
        for key in body:
            if key in own or key in used:
                continue
            if key in self.manifests:
                self.problems.add((*at, key), f"{key} is off; a section `{key}:` of its own switches it on")
            elif key not in self.tree:  # a section of that name has been complained of already
                self.problems.add((*at, key), "unknown key" + did_you_mean(key, {*own, *self.manifests}))

    def _settings(self, plugin: str) -> Settings | None:
        model = self.manifests[plugin].settings
        made = check(model or Nothing, piece(self.tree.get(plugin), (plugin,)), self.problems)
        return made if model else None

    def _node_settings(self, plugin: str) -> dict[str, Settings | None]:
        """Return the settings of every machine: `each`, and what the machine says over it."""
        model = self.manifests[plugin].node_settings
        each = piece(self.each.get(plugin), ("each", plugin))
        check(model or Nothing, each, self.problems, partial=True)
        made: dict[str, Settings | None] = {}
        for name, body in self.bodies.items():
            own = piece(body.get(plugin), ("machines", name, plugin))
            made[name] = check(model or Nothing, overlay(each, own), self.problems)
        return made if model else {}

    def _machine(self, name: str) -> Machine | None:
        at = ("machines", name)
        try:
            _HOST_NAME.validate_python(name)
        except ValidationError as error:
            self.problems.add(at, error.errors()[0]["msg"].partition(", ")[2])
            return None
        body = self.bodies[name]
        given = piece({"address": body["address"]} if "address" in body else {}, at)
        given.tree["name"] = name
        return check(Machine, given, self.problems)

    def _check_fit(
        self, cloud: Cloud | None, meet: Meet | None, machines: Mapping[str, Machine | None]
    ) -> None:
        """Note what is right by itself and wrong together."""
        if cloud and machines and cloud.initiator not in machines:
            message = "is none of the machines" + did_you_mean(cloud.initiator, machines)
            self.problems.add(("cloud", "initiator"), message)
        owners: dict[Any, str] = {}
        for name, machine in machines.items():
            if machine is None:
                continue
            at = ("machines", name, "address")
            if cloud and machine.address not in cloud.network:
                self.problems.add(at, f"is not in the cloud's network, {cloud.network}")
            if (owner := owners.setdefault(machine.address, name)) != name:
                self.problems.add(at, f"is the address of {owner}, too")
        for key, plugins in _named(meet).items():
            for plugin in plugins:
                if plugin not in self.manifests:
                    self.problems.add(("meet", key), self._unknown(plugin))


def _named(meet: Meet | None) -> dict[str, tuple[str, ...]]:
    """Return the plugins that the operator named in `meet`, by key; defaults are not the operator's."""
    if meet is None:
        return {}
    named = {"discovery": meet.discovery, "trust": (meet.trust,)}
    return {key: plugins for key, plugins in named.items() if key in meet.model_fields_set}
