"""Answers as the file that `mcloud preseed` takes: the one way by which both become an order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mcloud.errors import SettingsError
from mcloud.files import make_folders, replace_file
from mcloud.forms import FORMAT, Preseed, read
from mcloud.forms.answers import Answers
from mcloud.forms.core import Meet
from mcloud.forms.write import yaml
from mcloud.model import Node
from mcloud.order import Order, order_of
from mcloud.plugins import Plugins

NAME = "answers.yaml"
"""Below the state folder, unless `mcloud init --answers FILE` says otherwise."""

_HEADER = """\
# What was answered to `mcloud init`; `mcloud preseed` makes the same plan of it:
#   copy this file to every machine (it holds the code by which they trust each other: keep it 0600),
#   then type there `mcloud preseed FILE`; `mcloud plan FILE` instead changes nothing and shows the plan.
"""


def network_of(nodes: Sequence[Node]) -> str:
    """Return the network that holds all machines' own addresses, as CIDR: the first's, or a larger one.

    Raises SettingsError if there is none, as the addresses are of different families.
    """
    own = [ip_address(node.address) for node in nodes]
    if len({address.version for address in own}) > 1:
        raise SettingsError(
            "some machines came with an IPv4 address and some with an IPv6 address",
            hint="give --address on those that shall use the other",
        )
    network: IPv4Network | IPv6Network = ip_network(nodes[0].address)
    for nic in nodes[0].survey.nics:
        network = next((at.network for at in nic.addresses if at.ip == own[0]), network)
    while not all(address in network for address in own):
        network = network.supernet()
    return str(network)


def tree_of(
    answers: Answers, plugins: Plugins, nodes: Sequence[Node], order: Order, *, code: SecretStr
) -> dict[str, Any]:
    """Return the file's tree: what was answered, what was ordered beforehand, and who came."""
    manifests = plugins.manifests
    meet: dict[str, Any] = {"code": code.get_secret_value()} if len(nodes) > 1 else {}
    usual = Meet()
    if order.port not in {0, usual.port}:  # 0: any that was free then
        meet["port"] = order.port
    if order.patience != usual.patience.total_seconds():
        meet["patience"] = order.patience
    if order.trust != usual.trust:
        meet["trust"] = order.trust
    cloud: dict[str, Any] = {"name": order.cloud, "initiator": nodes[0].name, "network": network_of(nodes)}
    if order.others != "go-on":
        cloud["others"] = order.others
    if order.deadlines != 1:
        cloud["deadlines"] = order.deadlines
    return {
        "mcloud": FORMAT,
        "cloud": cloud,
        **({"meet": meet} if meet else {}),
        **answers.sections(manifests),
        "machines": {
            node.name: {"address": node.address, **answers.machine(node.name, manifests)} for node in nodes
        },
    }


def read_tree(tree: Mapping[str, Any], plugins: Plugins, *, name: str = "the answers") -> Preseed:
    """Read the tree by way of its text, as any file is read. Raises SettingsError."""
    return read(yaml(tree), name, plugins.manifests, services=plugins.services)


def order_from(tree: Mapping[str, Any], plugins: Plugins, ordered: Order) -> Order:
    """Return the order that these answers give, together with how it was typed.

    How machines find and trust each other stays as it was when the session opened.
    """
    return replace(
        order_of(read_tree(tree, plugins), command=ordered.command),
        expect=ordered.expect,
        discovery=ordered.discovery,
        trust=ordered.trust,
        code=ordered.code,
        port=ordered.port,
        patience=ordered.patience,
        purpose=ordered.purpose,
        deadlines=ordered.deadlines,
        typed=ordered.typed,
    )


def text_of(tree: Mapping[str, Any]) -> str:
    """Return the file's text, with how it is used; it holds secrets."""
    return _HEADER + yaml(tree)


def write(path: Path, tree: Mapping[str, Any]) -> None:
    """Write the file, for its owner alone. Raises SettingsError if it cannot be written."""
    try:
        make_folders(path.parent, mode=0o700)
        replace_file(path, text_of(tree).encode(), mode=0o600)
    except OSError as error:
        raise SettingsError(
            f"the answers cannot be written to {path}: {error.strerror}",
            hint="name another file by --answers FILE",
        ) from None
