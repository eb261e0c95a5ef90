"""An interface of the plan is found by the address it has for life, and another one is refused by name."""

import json

import pytest

from mcloud import Nic, ServiceError, check_interface, interface_now
from mcloud.testing import FakeHost

UPLINK = Nic(name="eth1", mac="02:00:00:00:00:0a", permanent="02:00:00:00:00:0a")


def link(name, address, *, kind="", permanent=""):
    found = {"ifname": name, "address": address}
    found |= {"permaddr": permanent} if permanent else {}
    return found | ({"linkinfo": {"info_kind": kind}} if kind else {})


def host(*links):
    return FakeHost(
        answer=lambda argv: json.dumps(links) if list(argv) == ["ip", "-j", "-d", "link"] else None
    )


@pytest.mark.parametrize(
    ("links", "now"),
    [
        ([link("eth1", "02:00:00:00:00:0a"), link("eth2", "02:00:00:00:00:0b")], "eth1"),
        ([link("eth1", "02:00:00:00:00:0b"), link("eth2", "02:00:00:00:00:0A")], "eth2"),
        ([link("eth1", "02:00:00:00:00:0b")], None),
        ([], None),
        # A port of a bond shows the bond's address; a VLAN and a bridge show that of their port.
        ([link("eth1", "02:00:00:00:00:0b", permanent="02:00:00:00:00:0a")], "eth1"),
        ([link("eth1", "02:00:00:00:00:0a", permanent="02:00:00:00:00:0b")], None),
        ([link("br0", "02:00:00:00:00:0a", kind="bridge"), link("eth7", "02:00:00:00:00:0a")], "eth7"),
        ([link("eth7.5", "02:00:00:00:00:0a", kind="vlan")], None),
        # What cannot be told apart is not guessed at, unless the name settles it.
        ([link("eth5", "02:00:00:00:00:0a"), link("eth6", "02:00:00:00:00:0a")], None),
        ([link("eth1", "02:00:00:00:00:0a"), link("eth6", "02:00:00:00:00:0a")], "eth1"),
    ],
)
def test_it_is_found_by_its_address_for_life(links, now):
    assert interface_now(host(*links), UPLINK) == now


def test_what_has_no_address_for_life_is_known_by_its_name_alone():
    bond = Nic(name="bond0", mac="02:00:00:00:00:0a", physical=False)
    asked = FakeHost()
    assert interface_now(asked, bond) == "bond0"
    check_interface(asked, bond)


def test_another_one_is_refused_with_both_addresses_and_where_the_right_one_is():
    check_interface(host(link("eth1", "02:00:00:00:00:0a")), UPLINK)
    exchanged = host(link("eth1", "02:00:00:00:00:0b"), link("eth2", "02:00:00:00:00:0a"))
    with pytest.raises(ServiceError) as refused:
        check_interface(exchanged, UPLINK)
    assert str(refused.value).endswith(
        "eth1 of n1 is another interface than the one in the plan: 02:00:00:00:00:0b, was 02:00:00:00:00:0a; "
        "the one in the plan is eth2 now"
    )
    assert "systemd.link" in refused.value.hint
    with pytest.raises(ServiceError, match=r"n1 has no interface eth1 \(02:00:00:00:00:0a\) any more$"):
        check_interface(host(), UPLINK)
