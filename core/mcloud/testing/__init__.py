"""The kit for authors of plugins: contracts, fake machines, fake clouds. Imported, never loaded by itself."""

from mcloud.testing.channel import MemoryChannel
from mcloud.testing.cloud import FakeCloud, Outcome
from mcloud.testing.contract import PluginContract
from mcloud.testing.disks import FakeDisk
from mcloud.testing.filing import FakeFile
from mcloud.testing.folder import memory_folder
from mcloud.testing.host import Call, FakeHost, PowerLost
from mcloud.testing.offer_contract import OfferContract
from mcloud.testing.prompts import Scripted
from mcloud.testing.walk import Walk

__all__ = [
    "Call",
    "FakeCloud",
    "FakeDisk",
    "FakeFile",
    "FakeHost",
    "MemoryChannel",
    "OfferContract",
    "Outcome",
    "PluginContract",
    "PowerLost",
    "Scripted",
    "Walk",
    "memory_folder",
]
