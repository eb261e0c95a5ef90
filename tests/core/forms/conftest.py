"""Invented plugins that the tests of the file's settings share, and golden files."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, IPvAnyAddress, IPvAnyInterface, SecretStr, model_validator

from mcloud.errors import SettingsError
from mcloud.forms import Ask, Duration, Network, Preseed, read
from mcloud.model import DiskChoice, Manifest, Settings

GOLDEN = Path(__file__).parents[2] / "golden"


class StorageSettings(Settings):
    public_network: Annotated[Network | None, Ask("Network for clients")] = Field(
        default=None, description="Network that clients use", examples=["10.10.0.0/24"]
    )
    replicas: Annotated[int, Ask("Copies")] = Field(
        default=3, ge=1, le=5, description="Copies of every object"
    )
    label: str = Field(default="", max_length=40, description="Free text")
    grace: Duration = Field(default=timedelta(seconds=30), description="How long a disk may be away")


class Journal(Settings):
    path: str = Field(pattern=r"^/\S*$", description="Where it is")
    size: int = Field(default=64, description="MiB")


class StorageNode(Settings):
    disks: tuple[DiskChoice, ...] = Field(
        default=(), description="Disks to keep data on", examples=[["/dev/sdb"]]
    )
    journal: Journal | None = Field(
        default=None, description="A faster device", examples=[{"path": "/dev/nvme0n1"}]
    )


class Peer(Settings):
    name: str = Field(description="Who")
    key: SecretStr | None = Field(default=None, description="Its key")


class NetSettings(Settings):
    gateway: IPvAnyInterface = Field(description="Gateway of the uplink", examples=["192.0.2.1/24"])
    first: IPvAnyAddress | None = Field(
        default=None, description="First address to give away", examples=["192.0.2.100"]
    )
    last: IPvAnyAddress | None = Field(default=None, description="Last one", examples=["192.0.2.254"])
    datapath: Literal["kernel", "userspace"] = Field(default="kernel", description="Who forwards")
    token: SecretStr | None = Field(default=None, min_length=8, description="Token of the switch")
    peers: tuple[Peer, ...] = Field(default=(), description="Neighbours", examples=[[{"name": "west"}]])

    @model_validator(mode="after")
    def _range(self) -> Self:
        if (self.first is None) != (self.last is None):
            raise ValueError("`first` and `last` belong together")
        return self


class NetNode(Settings):
    underlay: IPvAnyAddress = Field(
        description="Address of the tunnels", examples=["10.10.2.11", "10.10.2.12", "10.10.2.13"]
    )
    uplink: str = Field(default="eth1", description="Interface of the uplink")


class MulticastSettings(Settings):
    interface: str = Field(default="eth0", description="Where to ask")


@dataclass(frozen=True)
class Installed:
    """The plugins of an imaginary installation."""

    manifests: Mapping[str, Manifest]
    services: Collection[str] = ("net", "plain", "storage")

    def read(self, text: str, **more: Mapping[str, str]) -> Preseed:
        return read(text, "cloud.yaml", self.manifests, services=self.services, **more)

    def problems(self, text: str, **more: Mapping[str, str]) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            self.read(text, **more)
        assert caught.value.hint
        return caught.value.problems


@pytest.fixture(scope="session")
def installed() -> Installed:
    return Installed(
        {
            "net": Manifest(api=1, summary="Moves packets", settings=NetSettings, node_settings=NetNode),
            "storage": Manifest(
                api=1, summary="Keeps blocks", settings=StorageSettings, node_settings=StorageNode
            ),
            "plain": Manifest(api=1, summary="Has nothing to set"),
            "multicast": Manifest(api=1, summary="Asks around", settings=MulticastSettings),
            "static": Manifest(api=1, summary="Is told"),
            "words": Manifest(api=1, summary="Knows the code"),
        }
    )


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with a file in tests/golden; MCLOUD_WRITE_GOLDEN=1 writes it instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("MCLOUD_WRITE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text(), f"MCLOUD_WRITE_GOLDEN=1 writes {path.name} anew"

    return compare
