"""A disk has one role, whichever plugins claim it and by whatever name."""

from typing import Annotated

import pytest
from pydantic import Field

from mcloud import Ask, DiskChoice, Manifest, Settings, SettingsError, hookimpl
from mcloud.gathering import checked
from mcloud.inputs import Inputs
from mcloud.model import Disk, Node, Survey
from mcloud.plugins import Plugins

DISKS = (Disk(device="/dev/sda", size=1, links=("/dev/disk/by-id/ata-A",)), Disk(device="/dev/sdb", size=1))


class Journal(Settings):
    on: DiskChoice | None = Field(default=None, description="Where")


class Node1(Settings):
    disks: Annotated[tuple[DiskChoice, ...], Ask("Disks")] = Field(default=(), description="Disks")
    journal: Annotated[Journal | None, Ask("Journal")] = Field(default=None, description="Journal")


class Plugin:
    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Takes disks", node_settings=Node1)

    @hookimpl
    def join(self):
        return ()


def check(**said):
    nodes = [
        Node(name=name, addresses=(f"10.0.0.{number}",), survey=Survey(disks=DISKS), founder=number == 1)
        for number, name in enumerate(("n1", "n2"), 1)
    ]
    services = ("a", "b")
    inputs = Inputs(
        run="0" * 16,
        command="init",
        cloud="c",
        nodes=tuple(nodes),
        services=services,
        node_settings={name: said.get(name, {}) for name in services},
    )
    return checked(Plugins.of(a=Plugin(), b=Plugin()), inputs)


def test_the_same_name_on_two_machines_is_two_disks():
    assert check(a={"n1": {"disks": ["/dev/sda"]}}, b={"n2": {"disks": ["/dev/sda"]}}) == ()
    assert check(a={"n1": {"disks": ["/dev/sda"]}}, b={"n1": {"disks": ["/dev/sdb"]}}) == ()


def test_one_disk_under_two_names_for_two_plugins_is_refused_with_both_places():
    with pytest.raises(SettingsError) as caught:
        check(
            a={"n1": {"disks": ["/dev/sdb", "/dev/disk/by-id/ata-A"]}},
            b={"n1": {"journal": {"on": "/dev/sda"}}},
        )
    (problem,) = caught.value.problems
    assert problem.startswith(
        "n1: machines.n1.b.journal.on: /dev/sda is given away already, by machines.n1.a.disks[1]"
    )


def test_one_disk_twice_for_one_plugin_is_refused_too():
    with pytest.raises(SettingsError) as caught:
        check(a={"n2": {"disks": ["/dev/sda", "/dev/disk/by-id/ata-A"]}})
    assert "/dev/disk/by-id/ata-A (that is /dev/sda) is given away already" in caught.value.problems[0]
