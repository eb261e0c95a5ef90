"""Turns a few machines into a private cloud: the public API, for plugins."""

import pluggy

from mcloud.errors import (
    CommandError,
    DiscoveryError,
    McloudError,
    PlanError,
    PluginError,
    ProtocolError,
    RunFailed,
    ServiceError,
    SettingsError,
    TrustError,
)
from mcloud.forms import Ask, Choice, Duration, Network, SoFar, Topic
from mcloud.forms.offered import (
    blank_disks,
    disk_choices,
    find_disk,
    shared_networks,
    stable_path,
)
from mcloud.host import FileStat, Host, Result
from mcloud.model import (
    API,
    Beacon,
    Channel,
    Check,
    Disk,
    DiskChoice,
    HostName,
    Manifest,
    Nic,
    Node,
    Printable,
    Role,
    Search,
    ServiceState,
    Settings,
    Survey,
)
from mcloud.offers import (
    JoinToken,
    NetworkAccess,
    NetworkUplink,
    Offer,
    StorageAccess,
    StoragePool,
    VirtualNetworks,
)
from mcloud.prompting import Pick, Prompter, Row
from mcloud.steps import Step, StepContext
from mcloud.wiping import wipe_disk

hookimpl = pluggy.HookimplMarker("mcloud")

__all__ = [
    "API",
    "Ask",
    "Beacon",
    "Channel",
    "Check",
    "Choice",
    "CommandError",
    "DiscoveryError",
    "Disk",
    "DiskChoice",
    "Duration",
    "FileStat",
    "Host",
    "HostName",
    "JoinToken",
    "Manifest",
    "McloudError",
    "Network",
    "NetworkAccess",
    "NetworkUplink",
    "Nic",
    "Node",
    "Offer",
    "Pick",
    "PlanError",
    "PluginError",
    "Printable",
    "Prompter",
    "ProtocolError",
    "Result",
    "Role",
    "Row",
    "RunFailed",
    "Search",
    "ServiceError",
    "ServiceState",
    "Settings",
    "SettingsError",
    "SoFar",
    "Step",
    "StepContext",
    "StorageAccess",
    "StoragePool",
    "Survey",
    "Topic",
    "TrustError",
    "VirtualNetworks",
    "blank_disks",
    "disk_choices",
    "find_disk",
    "hookimpl",
    "shared_networks",
    "stable_path",
    "wipe_disk",
]
