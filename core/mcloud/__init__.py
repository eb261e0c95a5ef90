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
from mcloud.forms import Ask, Duration, Network
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

hookimpl = pluggy.HookimplMarker("mcloud")

__all__ = [
    "API",
    "Ask",
    "Beacon",
    "Channel",
    "Check",
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
    "Step",
    "StepContext",
    "StorageAccess",
    "StoragePool",
    "Survey",
    "TrustError",
    "VirtualNetworks",
    "hookimpl",
]
