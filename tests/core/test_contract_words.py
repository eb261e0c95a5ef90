"""The trust plugin that is shipped in the core keeps the contract like any other."""

from mcloud.session import trust
from mcloud.testing import PluginContract


class TestWords(PluginContract):
    name = "words"
    plugin: object = trust
