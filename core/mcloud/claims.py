"""One disk has one role: what the settings of all plugins claim on each machine, by whatever name."""

from collections.abc import Iterator, Mapping
from typing import Any

from mcloud.forms.document import Place
from mcloud.forms.offered import find_disk
from mcloud.forms.problems import dotted
from mcloud.inputs import Inputs
from mcloud.model import Check, DiskChoice, Manifest, Node, Settings


def claimed_twice(inputs: Inputs, manifests: Mapping[str, Manifest]) -> Iterator[Check]:
    """Yield an error for each disk that is given away a second time, with both places.

    A name under /dev/disk and a name in /dev are one disk if the machine's survey says so.
    """
    for node in inputs.nodes:
        owners: dict[str, str] = {}
        for place, choice in _claims(inputs, manifests, node):
            disk = find_disk(node, choice)
            device = disk.device if disk else choice.path
            first = owners.setdefault(device, place)
            if first != place:
                also = "" if choice.path == device else f" (that is {device})"
                yield Check(
                    level="error",
                    machine=node.name,
                    message=f"{place}: {choice.path}{also} is given away already, by {first}",
                    hint="a disk has one role: name each in one place only",
                )


def _claims(
    inputs: Inputs, manifests: Mapping[str, Manifest], node: Node
) -> Iterator[tuple[str, DiskChoice]]:
    for plugin in inputs.services:
        own = inputs.asked(plugin, manifests[plugin], node)["node_settings"].get(node.name)
        for place, choice in disks_in(own):
            yield f"machines.{node.name}.{plugin}.{dotted(place)}", choice


def disks_in(value: Any, at: Place = ()) -> Iterator[tuple[Place, DiskChoice]]:
    """Yield every disk that is named somewhere inside settings, with its place."""
    if isinstance(value, DiskChoice):
        yield at, value
    elif isinstance(value, Settings):
        for name in type(value).model_fields:
            yield from disks_in(getattr(value, name), (*at, name))
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            yield from disks_in(inside, (*at, str(key)))
    elif isinstance(value, list | tuple):
        for index, inside in enumerate(value):
            yield from disks_in(inside, (*at, index))
