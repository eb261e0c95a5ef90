"""What an operator can set of OVN, for the cloud and for each machine."""

from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated

from pydantic import AfterValidator, Field, IPvAnyAddress

from mcloud import Ask, Settings, Topic
from mcloud_ovn import uplink


class OvnSettings(Settings):
    """The network that virtual networks reach the world through; without a gateway there is none."""

    ipv4_gateway: Annotated[
        IPv4Interface | None,
        Ask(
            "IPv4 gateway of the uplink network, with prefix (empty: none)",
            when=uplink.possible,
            topic=Topic.NETWORK,
            check=uplink.wrong_ipv4_gateway,
        ),
    ] = Field(
        default=None,
        description="Gateway of the uplink network with its prefix, an address no machine of ours has",
        examples=["192.0.2.1/24"],
    )
    ipv4_range: Annotated[
        Annotated[str, AfterValidator(uplink.checked_range)] | None,
        Ask(
            "Addresses there that virtual routers may take, first-last",
            when=uplink.has_ipv4_gateway,
            topic=Topic.NETWORK,
            order=1,
            check=uplink.wrong_range,
        ),
    ] = Field(
        default=None,
        description="Addresses of the uplink network that virtual networks' routers may take, first-last",
        examples=["192.0.2.100-192.0.2.254"],
    )
    ipv6_gateway: Annotated[
        IPv6Interface | None,
        Ask(
            "IPv6 gateway of the uplink network, with prefix (empty: none)",
            when=uplink.possible,
            topic=Topic.NETWORK,
            order=2,
            check=uplink.wrong_ipv6_gateway,
            remark=uplink.no_uplink,
        ),
    ] = Field(
        default=None,
        description="IPv6 gateway of the uplink network with its prefix",
        examples=["2001:db8:2::1/64"],
    )
    dns_servers: Annotated[
        tuple[IPvAnyAddress, ...],
        Ask(
            "DNS servers of instances, separated by commas",
            when=uplink.has_gateway,
            topic=Topic.NETWORK,
            order=4,
            default=uplink.gateways,
        ),
    ] = Field(
        default=(),
        description="DNS servers that instances on virtual networks are told of, reached by the uplink",
        examples=[["192.0.2.53", "2001:db8:2::53"]],
    )


class OvnNode(Settings):
    """One machine's part in the network."""

    underlay_ip: Annotated[
        IPvAnyAddress | None,
        Ask(
            "Which address carries instances' traffic between machines (none picked: each one's own)?",
            choices=uplink.addresses,
            columns=("INTERFACE", "ADDRESS"),
            when=uplink.has_other_network,
            topic=Topic.NETWORK,
            order=5,
            check=uplink.address_missing,
        ),
    ] = Field(
        default=None,
        description=(
            "Address of this machine that carries instances' traffic between machines (Geneve, UDP 6081); "
            "default: the machine's own address"
        ),
        examples=["10.10.2.11", "10.10.2.12", "10.10.2.13"],
    )
    uplink_interface: Annotated[
        str | None,
        Ask(
            "Which interface of each machine leads to the uplink network?",
            choices=uplink.interfaces,
            columns=("INTERFACE", "LINK", "MAC"),
            when=uplink.has_gateway,
            topic=Topic.NETWORK,
            order=3,
            check=uplink.interface_missing,
            role="the uplink",
        ),
    ] = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]{1,15}$",
        description="Interface without an address, connected to the network that holds the gateways",
        examples=["eth1"],
    )
