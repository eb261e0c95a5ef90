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
    disk_loss,
    find_disk,
    shared_networks,
    stable_path,
)
from mcloud.host import FileImage, FileStat, Host, Result
from mcloud.interfaces import check_interface, interface_now
from mcloud.listeners import Listener, holder, listeners
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
    Role,
    Search,
    ServiceState,
    Settings,
    Survey,
)
from mcloud.obstacles import obstacle_checks, obstacles
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
from mcloud.records import Obstacle, Printable
from mcloud.steps import Step, StepContext
from mcloud.units import Restarts, failed_units, last_words, wait_with_units
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
    "FileImage",
    "FileStat",
    "Host",
    "HostName",
    "JoinToken",
    "Listener",
    "Manifest",
    "McloudError",
    "Network",
    "NetworkAccess",
    "NetworkUplink",
    "Nic",
    "Node",
    "Obstacle",
    "Offer",
    "Pick",
    "PlanError",
    "PluginError",
    "Printable",
    "Prompter",
    "ProtocolError",
    "Restarts",
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
    "check_interface",
    "disk_choices",
    "disk_loss",
    "failed_units",
    "find_disk",
    "holder",
    "hookimpl",
    "interface_now",
    "last_words",
    "listeners",
    "obstacle_checks",
    "obstacles",
    "shared_networks",
    "stable_path",
    "wait_with_units",
    "wipe_disk",
]
