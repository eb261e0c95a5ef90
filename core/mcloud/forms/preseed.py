"""What the file says, checked: the core's sections and every plugin's settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcloud.forms.core import Cloud, Machine, Meet
from mcloud.model import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Preseed:
    """A whole cloud as its operator wants it."""

    cloud: Cloud
    meet: Meet
    machines: tuple[Machine, ...]
    """The initiator first, then the file's order; roles follow it."""
    services: tuple[str, ...]
    """Services that are switched on, in the order of their names."""
    plugin_settings: Mapping[str, Settings]
    """Cloud-wide, by plugin: services that are on, discovery and trust that are used."""
    plugin_node_settings: Mapping[str, Mapping[str, Settings]]
    """Of single machines, by plugin and machine; every machine is there."""

    def settings(self, plugin: str) -> Settings | None:
        """Return a plugin's cloud-wide settings; None if it is off or has none."""
        return self.plugin_settings.get(plugin)

    def node_settings(self, plugin: str) -> Mapping[str, Settings]:
        """Return a plugin's settings by machine; empty if it is off or has none."""
        return self.plugin_node_settings.get(plugin, {})

    def machine(self, name: str) -> Machine | None:
        """Return the machine of that name."""
        return next((machine for machine in self.machines if machine.name == name), None)

    @property
    def models(self) -> tuple[Settings, ...]:
        """All settings, the core's and the plugins'; of what is the same in two places, both."""
        of_machines = (settings for each in self.plugin_node_settings.values() for settings in each.values())
        return (self.cloud, self.meet, *self.machines, *self.plugin_settings.values(), *of_machines)
