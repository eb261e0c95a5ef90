"""The discovery plugins keep the contract of all plugins."""

from mcloud.testing import PluginContract
from mcloud_discovery_mdns import plugin as mdns
from mcloud_discovery_static import plugin as static


class TestMdns(PluginContract):
    name = "mdns"
    plugin = mdns


class TestStatic(PluginContract):
    name = "static"
    plugin = static
