"""Facts that one step offers and another uses, named after what they give, never after who makes them."""

from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, SecretStr


class Offer(BaseModel):
    """A frozen fact; subclasses say in their docstring what a consumer may rely on.

    `volatile` marks what must never be written down (a secret, a token): a step all of whose
    offers are volatile has no probe, always runs again, and returns its offers from `run`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    volatile: ClassVar[bool] = False


class JoinToken(Offer):
    """What one joiner needs from the seat to join one service: opaque to the core, good for that joiner only.

    Made by `issue_token`; in the joiner's plan its maker is the core, and only the lane of the
    same plugin sees it (`ctx.token`). Never journalled.
    """

    volatile: ClassVar[bool] = True

    value: SecretStr


class StoragePool(Offer):
    """A pool of storage that every machine of the cloud can reach, ready to be used under `name`.

    A consumer may rely on: the pool exists and accepts volumes; `options` holds all that a client
    needs, under the keys that LXD documents for its storage driver of that name (LXD and Incus
    agree on them); credentials are already on every machine that offered `StorageAccess(driver)`.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    driver: str = Field(description="ceph, cephfs, linstor, ...")
    source: str = Field(description="the pool's or file system's name in the storage service itself")
    purpose: Literal["volumes", "filesystem"] = "volumes"
    options: Mapping[str, str] = Field(default_factory=dict)


class NetworkUplink(Offer):
    """The physical network that virtual networks reach the world through.

    A consumer may rely on: on each machine the named interface exists, is up, carries no address
    of the machine's own, and is connected to the network that holds the gateways.
    """

    name: str = Field(default="UPLINK", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,14}$")
    parents: Mapping[str, str] = Field(description="machine name -> interface or Open vSwitch bridge")
    ipv4_gateway: IPv4Interface | None = None
    ipv4_range: str | None = Field(default=None, description="first-last, inside the gateway's network")
    ipv6_gateway: IPv6Interface | None = None
    dns_servers: tuple[IPvAnyAddress, ...] = ()


class VirtualNetworks(Offer):
    """A service that makes virtual networks across all machines.

    A consumer may rely on: the service answers at `connection` from every machine that offered
    `NetworkAccess(driver)`, and the three files (paths, the same on every machine, readable by
    root) open its TLS. A `wait until applied` call on it returns.
    """

    driver: str = Field(description="ovn, ...")
    connection: str = Field(
        description="as the driver's clients take it, e.g. ssl:10.0.0.1:6641,ssl:10.0.0.2:6641"
    )
    integration_bridge: str = "br-int"
    ca_file: str
    certificate_file: str
    key_file: str


class StorageAccess(Offer):
    """This machine can use storage of `driver`: tools, configuration and credentials are in place."""

    driver: str


class NetworkAccess(Offer):
    """This machine can take part in virtual networks of `driver`: its controller runs and is connected.

    `uplinks`: its own part of each `NetworkUplink`, for one that is there before this machine is.
    """

    driver: str
    uplinks: Mapping[str, str] = Field(
        default_factory=dict, description="name of the uplink -> this machine's interface or bridge"
    )
