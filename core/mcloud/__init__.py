"""Turns a few machines into a private cloud: the public API, for plugins."""

import pluggy

from mcloud.disksdoor import (
    Bears,
    DiskFound,
    HeldDisk,
    disks_bearing,
    free_disks,
    hold_disk,
    look_at_disk,
)
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
    UsedElsewhereError,
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
from mcloud.host import Device, FileImage, FileStat, Host, Result
from mcloud.identity import is_same_disk
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
from mcloud.survey.contents import Content
from mcloud.units import Restarts, failed_units, last_words, wait_with_units

hookimpl = pluggy.HookimplMarker("mcloud")

__all__ = [
    "API",
    "Ask",
    "Beacon",
    "Bears",
    "Channel",
    "Check",
    "Choice",
    "CommandError",
    "Content",
    "Device",
    "DiscoveryError",
    "Disk",
    "DiskChoice",
    "DiskFound",
    "Duration",
    "FileImage",
    "FileStat",
    "HeldDisk",
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
    "UsedElsewhereError",
    "VirtualNetworks",
    "blank_disks",
    "check_interface",
    "disk_choices",
    "disk_loss",
    "disks_bearing",
    "failed_units",
    "find_disk",
    "free_disks",
    "hold_disk",
    "holder",
    "hookimpl",
    "interface_now",
    "is_same_disk",
    "last_words",
    "listeners",
    "look_at_disk",
    "obstacle_checks",
    "obstacles",
    "shared_networks",
    "stable_path",
    "wait_with_units",
]
