"""What is known of machines, services and plugins: records that travel or are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    IPvAnyAddress,
    IPvAnyInterface,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mcloud.offers import Offer
from mcloud.records import Obstacle, Printable, Record
from mcloud.records import printable as printable  # noqa: PLC0414 - others look for it here

API = 1
"""Version of the hooks; `Manifest.api` must equal it. Within one API only arguments are added."""


HostName = Annotated[
    str, Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["n1"])
]
"""One label of a host name, RFC 1123 section 2.1, in lower case."""


class Settings(BaseModel):
    """What an operator can set of one plugin; every field has a description and can be asked (`Ask`)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=False
    )


class DiskChoice(Settings):
    """One disk, by path; a bare string in the file is `{path: ...}`."""

    path: str = Field(
        pattern=r"^/dev/\S+$",
        max_length=255,
        description="Device, best under /dev/disk/by-id",
        examples=["/dev/sdb"],
    )
    wipe: bool = Field(default=False, description="May what is on it be destroyed")
    encrypt: bool = Field(default=False, description="Encrypt it at rest")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say that a bare string will do, too."""
        whole = handler(core)
        return {"anyOf": [whole["properties"]["path"], whole]}

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"path": given}
        if isinstance(given, Mapping) and ({"match", "max"} & given.keys()):
            msg = "choosing disks by 'match' and 'max' is not possible yet; name each disk by its path"
            raise ValueError(msg)
        return given


class Disk(Record):
    """One block device with a node in /dev; `busy` says why it cannot be taken, "" if it can."""

    device: Printable
    size: int = Field(ge=0, description="bytes")
    type: Literal["hdd", "ssd", "nvme", "loop", "other"] = "other"
    model: Printable = ""
    serial: Printable = ""
    wwn: Printable = Field(default="", description="World Wide Name, or what the kernel has for one")
    read_only: bool = False
    removable: bool = False
    partitions: int = 0
    content: Printable = Field(default="", description="what is on it: ext4, unknown data, empty if nothing")
    content_id: Printable = Field(default="", description="what tells that from others: a UUID, a digest")
    busy: Printable = Field(default="", description="mounted on /x, held by dm-0, ...")
    links: tuple[Printable, ...] = Field(default=(), description="names of it under /dev/disk")


class Nic(Record):
    """One network interface of this machine."""

    name: Printable
    mac: Printable = ""
    permanent: Printable = Field(default="", description="MAC address of its hardware; a bridge has none")
    up: bool = False
    physical: bool = True
    mtu: int = 1500
    addresses: tuple[IPvAnyInterface, ...] = ()
    used_by: Printable = Field(default="", description="bridge or bond it belongs to, empty if none")


class Survey(Record):
    """What a machine is made of; made by reading only."""

    distribution: Printable = Field(default="", description="ID and VERSION_ID of os-release, e.g. debian-12")
    kernel: Printable = ""
    architecture: Printable = ""
    cpus: int = 0
    memory: int = Field(default=0, description="bytes")
    abilities: tuple[Printable, ...] = Field(
        default=(),
        description="what the kernel has or can load: openvswitch, geneve, ceph, rbd, dm-crypt, zfs, btrfs",
    )
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()


class ServiceState(Record):
    """One service on one machine, as `inspect` found it."""

    installed: bool
    version: Printable = ""
    features: tuple[Printable, ...] = ()
    standing: Literal["absent", "idle", "alone", "clustered"] = Field(
        default="absent",
        description="absent: not installed; idle: holds nothing; alone: in use by itself; clustered",
    )
    cluster: Printable = Field(default="", description="id of the cluster it is in")
    members: tuple[Printable, ...] = ()
    missing: tuple[Printable, ...] = Field(default=(), description="packages or programs that are not there")
    note: Printable = Field(default="", description="what a person should know, e.g. what was found")
    obstacles: tuple[Obstacle, ...] = Field(
        default=(), description="taken ports, masked units, missing users: what `mcloud.obstacles` found"
    )


class Node(Record):
    """One machine of the coming or present cloud. `addresses[0]` carries the cloud's own traffic."""

    name: HostName
    addresses: tuple[IPvAnyAddress, ...] = Field(min_length=1, max_length=16)
    fingerprint: str = Field(default="", description="SHA-256 of its certificate, hex")
    survey: Survey = Survey()
    services: Mapping[str, ServiceState] = Field(default_factory=dict)
    founder: bool = False
    standing: Literal["member", "joining", "leaving", "dead"] = "joining"

    @property
    def address(self) -> str:
        """The address for the cloud's own traffic, as text."""
        return str(self.addresses[0])


class Check(Record):
    """One finding before any change; an error stops the run."""

    level: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""
    machine: str = ""


class Beacon(Record):
    """How an initiator is found; holds no secret. Nothing in it is to be believed before trust."""

    name: Printable
    address: IPvAnyAddress
    port: int = Field(ge=1, le=65535)
    session: Printable = ""
    version: int = 0
    fingerprint: Printable = Field(default="", description="start of the certificate's SHA-256, hex")


class Search(Record):
    """What a joiner knows when it looks for an initiator."""

    seconds: float = Field(description="patience; the search ends after it")
    address: IPvAnyAddress | None = Field(default=None, description="this machine's own")
    interface: str = ""
    initiators: tuple[tuple[str, int], ...] = Field(
        default=(), description="(host or address, port) that were given"
    )


class Role(StrEnum):
    """Which half of a session this machine plays."""

    INITIATOR = "initiator"
    JOINER = "joiner"


@runtime_checkable
class Channel(Protocol):
    """What a trust plugin talks through: whole messages, in order, at most 4 KiB; the core keeps the time."""

    def send(self, message: bytes) -> None:
        """Send one message; raise `ProtocolError` or a lost connection's error."""
        ...

    def receive(self) -> bytes:
        """Return the next message; raise the same."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a plugin says of itself; the one hook all plugins have."""

    api: int
    """The API it was written for; compared with `mcloud.API`."""
    summary: str
    """One line for `mcloud plugins`."""
    settings: type[Settings] | None = None
    """Cloud-wide settings: the plugin's own section of the file."""
    node_settings: type[Settings] | None = None
    """Settings of one machine: under `each` and `machines`."""
    settings_version: int = 1
    facts: tuple[type[Offer], ...] = ()
    """Kinds offered by `join` that other machines of the same plugin may read (`ctx.facts`); never secret."""
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What to install, by distribution (ID of os-release): `{"debian": ("lxd",)}`."""
    shows: tuple[tuple[str, ...], ...] = ()
    """Commands of the service's own that show an operator what was made; run on the founder at the end,
    by the core, with a deadline: `(("lxc", "storage", "list"),)`. They only read."""
    units: tuple[str, ...] = ()
    """The service's systemd units, as patterns of the shell: `("lxd.*", "lxd-*")`. `mcloud bundle` holds what
    these warn of, and what no other program does."""
    next_steps: tuple[str, ...] = ()
    """What an operator may type next, in words; shown at the end of a run."""
    release_parts: int | None = None
    """How many leading parts of the service's version (`ServiceState.version`) must be the same on all
    machines: 2 takes every 5.0.x where the initiator has 5.0.2; None: any version."""
    joins_at_once: int | None = None
    """How many machines the service admits side by side; None: all. The next one's token is made ahead."""
