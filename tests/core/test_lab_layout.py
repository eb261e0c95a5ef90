"""What a lab is made of, before anything is made."""

import pytest

from mcloud.errors import McloudError
from mcloud.lab import layout


def test_machines_are_numbered_and_addressed_in_order():
    lab = layout.plan("x", machines=3)
    assert [machine.name for machine in lab.machines] == ["n1", "n2", "n3"]
    assert [machine.address for machine in lab.machines] == ["10.10.0.11", "10.10.0.12", "10.10.0.13"]
    eth0, eth1, eth2 = lab.machines[1].nics
    assert eth0.addresses == ("10.10.0.12/24", "fd10:10:0:0::12/64")
    assert eth1.addresses == ()
    assert eth2.addresses == ("10.10.2.12/24", "fd10:10:0:2::12/64")


def test_further_networks_leave_the_underlay_its_number():
    nics = layout.plan("x", machines=1, nics=("eth3", "eth4", "ceph")).machines[0].nics
    assert [(nic.name, nic.addresses[0]) for nic in nics[3:]] == [
        ("eth3", "10.10.1.11/24"),
        ("eth4", "10.10.3.11/24"),
        ("ceph", "10.10.4.11/24"),
    ]


def test_every_wire_has_an_address_of_its_own_that_stays():
    macs = [nic.mac for machine in layout.plan("x", machines=9).machines for nic in machine.nics]
    assert len(set(macs)) == len(macs) == 27
    assert all(mac.startswith("02:") and len(mac) == 17 for mac in macs)
    assert macs == [nic.mac for machine in layout.plan("x", machines=9).machines for nic in machine.nics]


def test_disks_are_two_unless_said_otherwise():
    def disks(*sizes: str) -> list[tuple[str, str]]:
        return [
            (disk.name, disk.size) for disk in layout.plan("x", machines=1, disks=sizes).machines[0].disks
        ]

    assert disks() == [("sda", "10G"), ("sdb", "10G")]
    assert disks("1G", "512M", "2T") == [("sda", "1G"), ("sdb", "512M"), ("sdc", "2T")]


def test_a_disk_keeps_its_serial_and_content_under_another_name():
    machine = layout.plan("x", machines=2, disks=("1G", "2G", "3G")).machines[1]
    assert [disk.serial for disk in machine.disks] == ["n2-sda", "n2-sdb", "n2-sdc"]
    swapped = machine.with_exchanged_disks("sda", "sdc")
    assert [(disk.name, disk.size, disk.unit, disk.serial) for disk in swapped.disks] == [
        ("sda", "3G", "sdc", "n2-sdc"),
        ("sdb", "2G", "sdb", "n2-sdb"),
        ("sdc", "1G", "sda", "n2-sda"),
    ]
    assert swapped.with_exchanged_disks("sda", "sdc") == machine
    with pytest.raises(McloudError, match="n2 has no disk 'sdz'") as refused:
        machine.with_exchanged_disks("sda", "sdz")
    assert "sda, sdb, sdc" in refused.value.hint


def test_an_interface_keeps_its_wire_and_address_for_life_under_another_name():
    machine = layout.plan("x", machines=1, nics=("eth3",)).machines[0]
    eth0, eth1, eth2, eth3 = machine.nics
    swapped = machine.with_exchanged_nics("eth1", "eth3")
    assert [nic.name for nic in swapped.nics] == ["eth0", "eth1", "eth2", "eth3"]
    assert [nic.addresses for nic in swapped.nics] == [nic.addresses for nic in machine.nics]
    assert [(nic.mac, nic.network) for nic in swapped.nics] == [
        (nic.mac, nic.name) for nic in (eth0, eth3, eth2, eth1)
    ]
    with pytest.raises(McloudError, match="n1 has no interface 'eth9'"):
        machine.with_exchanged_nics("eth1", "eth9")


def test_another_disk_in_the_same_place_has_another_serial_and_one_that_tells_none_has_none():
    machine = layout.plan("x", machines=1).machines[0]
    once = machine.with_new_disk("sdb")
    assert [disk.serial for disk in once.disks] == ["n1-sda", "n1-sdb.2"]
    assert once.with_new_disk("sdb").disk("sdb").serial == "n1-sdb.3"
    silent = layout.plan("x", machines=1, serials=False).machines[0]
    assert [disk.serial for disk in silent.with_new_disk("sdb").disks] == ["", ""]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../etc"},
        {"name": "Lab"},
        {"name": "a" * 17},
        {"machines": 0},
        {"machines": 10},
        {"disks": ("10",)},
        {"disks": ("0G",)},
        {"disks": ("1G",) * 27},
        {"nics": ("eth0",)},
        {"nics": ("eth3", "eth3")},
        {"nics": ("averylongname",)},
        {"nics": ("a b",)},
    ],
    ids=str,
)
def test_what_cannot_be_made_is_refused_with_a_hint(wrong):
    with pytest.raises(McloudError) as refused:
        layout.plan(wrong.pop("name", "x"), **{"machines": 1, **wrong})
    assert refused.value.hint


def test_a_layout_survives_being_written_and_read():
    lab = layout.plan("x", machines=2, disks=("1G",), nics=("eth3",))
    lab = lab.with_machine(lab.machine("n2").with_new_disk("sda"))
    assert lab.machine("n1").disk("sda").serial == "n1-sda"
    assert lab.machine("n2").disk("sda").serial == "n2-sda.2"
    assert layout.read(layout.written(lab)) == lab


def test_a_layout_cut_off_while_it_was_written_is_none():
    text = layout.written(layout.plan("x", machines=1))
    assert layout.read(text[: len(text) // 2]) is None
    assert layout.read("") is None


def test_an_unknown_machine_is_told_the_known_ones():
    with pytest.raises(McloudError, match="no machine 'n7'") as refused:
        layout.plan("x", machines=2).machine("n7")
    assert "n1, n2" in refused.value.hint
