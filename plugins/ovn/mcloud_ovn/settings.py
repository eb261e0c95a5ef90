"""What an operator can set of OVN, for the cloud and for each machine."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from typing import Annotated, Any

from pydantic import AfterValidator, Field, IPvAnyAddress

from mcloud import Ask, Settings, Survey


def _range(text: str) -> str:
    first, last = range_ends(text)
    if first > last:
        msg = f"begins at {first}, which is behind its end {last}"
        raise ValueError(msg)
    return f"{first}-{last}"


def range_ends(text: str) -> tuple[IPv4Address, IPv4Address]:
    """Return both ends of `first-last`; raises ValueError."""
    parts = re.split(r"\s*-\s*", text.strip())
    if len(parts) != 2:  # noqa: PLR2004 - first and last
        msg = "is not written as first-last, e.g. 192.0.2.100-192.0.2.254"
        raise ValueError(msg)
    return IPv4Address(parts[0]), IPv4Address(parts[1])


def _has_ipv4_gateway(answers: Mapping[str, Any]) -> bool:
    return answers.get("ipv4_gateway") is not None


def _addresses(survey: Survey) -> Sequence[object]:
    return [
        str(address.ip)
        for nic in survey.nics
        for address in nic.addresses
        if not (address.ip.is_link_local or address.ip.is_loopback)
    ]


def _free_interfaces(survey: Survey) -> Sequence[object]:
    return [
        nic.name
        for nic in survey.nics
        if nic.physical and not nic.used_by and all(address.ip.is_link_local for address in nic.addresses)
    ]


class OvnSettings(Settings):
    """The network that virtual networks reach the world through; without a gateway there is none."""

    ipv4_gateway: Annotated[IPv4Interface | None, Ask("IPv4 gateway of the uplink network, as CIDR")] = Field(
        default=None,
        description="Gateway of the uplink network with its prefix, an address no machine of ours has",
        examples=["192.0.2.1/24"],
    )
    ipv4_range: Annotated[
        Annotated[str, AfterValidator(_range)] | None,
        Ask("IPv4 addresses there that virtual routers may take, first-last", when=_has_ipv4_gateway),
    ] = Field(
        default=None,
        description="Addresses of the uplink network that virtual networks' routers may take, first-last",
        examples=["192.0.2.100-192.0.2.254"],
    )
    ipv6_gateway: Annotated[IPv6Interface | None, Ask("IPv6 gateway of the uplink network, as CIDR")] = Field(
        default=None,
        description="IPv6 gateway of the uplink network with its prefix",
        examples=["2001:db8:2::1/64"],
    )
    dns_servers: Annotated[tuple[IPvAnyAddress, ...], Ask("DNS servers that instances are told of")] = Field(
        default=(),
        description="DNS servers that instances on virtual networks are told of, reached by the uplink",
        examples=[["192.0.2.53", "2001:db8:2::53"]],
    )


class OvnNode(Settings):
    """One machine's part in the network."""

    underlay_ip: Annotated[
        IPvAnyAddress | None,
        Ask("Address for traffic between instances of different machines", choices=_addresses),
    ] = Field(
        default=None,
        description=(
            "Address of this machine that carries instances' traffic between machines (Geneve, UDP 6081); "
            "default: the machine's own address"
        ),
        examples=["10.10.2.11", "10.10.2.12", "10.10.2.13"],
    )
    uplink_interface: Annotated[
        str | None, Ask("Interface to the uplink network", choices=_free_interfaces)
    ] = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]{1,15}$",
        description="Interface without an address, connected to the network that holds the gateways",
        examples=["eth1"],
    )
