"""What was answered so far: by plugin, for the cloud and for each machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcloud.forms.secret import plain
from mcloud.model import Manifest

ByField = dict[str, Any]


@dataclass
class Answers:
    """Checked values; a field that was left at its default is not there."""

    services: tuple[str, ...] = ()
    """Those that are set up: of a service that an answer left out, nothing else is kept."""
    wide: dict[str, ByField] = field(default_factory=dict)
    own: dict[str, dict[str, ByField]] = field(default_factory=dict)
    """By plugin and machine."""

    def of(self, plugin: str, machine: str | None) -> ByField:
        """Return the answers of one plugin for one machine, for the cloud if that is None."""
        if machine is None:
            return self.wide.setdefault(plugin, {})
        return self.own.setdefault(plugin, {}).setdefault(machine, {})

    def sections(self, manifests: Mapping[str, Manifest]) -> dict[str, dict[str, Any]]:
        """Return the plugins' sections of the file; secrets in clear."""
        return {
            name: _plain(manifests[name].settings, self.wide.get(name, {})) for name in sorted(self.services)
        }

    def machine(self, machine: str, manifests: Mapping[str, Manifest]) -> dict[str, dict[str, Any]]:
        """Return the plugins' parts of a machine in the file."""
        said = {
            name: _plain(manifests[name].node_settings, self.own.get(name, {}).get(machine, {}))
            for name in sorted(self.services)
        }
        return {name: section for name, section in said.items() if section}


def _plain(model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    if model is None:
        return {}
    return plain(model.model_validate(values, by_name=True), show_secrets=True, only_set=True)
