"""What an operator made in LXD before: seen, named, given back whole; and what is left of another cluster."""

from contextlib import contextmanager
from typing import ClassVar

import pytest
from lxd_machines import Lxd
from test_lxd_checks import FRESH, found, machine
from test_lxd_life import LxdContract

from mcloud.testing import FakeHost
from mcloud_lxd import plugin
from mcloud_lxd.everywhere import Wanted, remove_everywhere
from mcloud_lxd.settings import LxdSettings

KEPT = "10.9.9.9:8443"
NIC = {"type": "nic", "nictype": "bridged", "parent": "br0", "name": "eth0"}


def used_before(lxd):
    """Put into an LXD what its operator made there, and the address of a cluster that it has left."""
    lxd.cluster.made = {"profiles": ("web",), "projects": ("shop",), "certificates": ("laptop",)}
    lxd.cluster.config = {"user.owner": "we"}
    lxd.own = {"core.https_address": ":8443", "cluster.https_address": KEPT}
    lxd.cluster.devices = {"nic0": dict(NIC)}


@contextmanager
def formed(contract):
    """Give a cloud that was formed, and its founder's LXD."""
    with contract._begun() as walk:
        walk.run()
        yield walk, walk.hosts["n1"].answer.__self__


class TestUsedBefore(LxdContract):
    """All of it is as it was after an undo, on the founder and on those that joined."""

    machines = 2
    # What an operator made in LXD goes in a reset: that says so, and is there to empty a machine.
    test_reset_restores_what_was_there = None
    test_reset_goes_on_after_a_power_cut = None
    test_a_fresh_machine_has_nothing_to_reset = None

    def host(self):
        host = super().host()
        used_before(host.answer.__self__)
        return host


def test_an_address_kept_of_another_cluster_is_unset_and_given_back():
    class Alone(LxdContract):
        machines = 1

        def host(self):
            host = super().host()
            host.answer.__self__.own = {"cluster.https_address": KEPT}
            return host

    with formed(Alone()) as (walk, lxd):
        assert lxd.own["core.https_address"] == "10.0.0.1:8443"
        walk.undo()
        assert lxd.own == {"cluster.https_address": KEPT}


@pytest.mark.parametrize("policy", ["keep-others", "replace"])
def test_the_guest_gets_one_interface_of_a_name(policy):
    class Policy(TestUsedBefore):
        settings: ClassVar = {"default_profile": policy}

    with formed(Policy()) as (walk, lxd):
        devices = lxd.cluster.devices
        assert [device["name"] for device in devices.values() if device["type"] == "nic"] == ["eth0"]
        assert ("nic0" in devices) == (policy == "keep-others")
        walk.undo()
        assert lxd.cluster.devices == {"nic0": NIC}


def test_a_network_without_our_mark_stays_whatever_its_name():
    class Alone(LxdContract):
        machines = 1

    with formed(Alone()) as (walk, lxd):
        networks, wanted = lxd.cluster.things["networks"], Wanted(kind="networks", name="lxdbr0", type="")
        mark = networks["lxdbr0"]["config"].pop("user.mcloud")
        remove_everywhere(walk.hosts["n1"], wanted)
        assert list(networks) == ["lxdbr0"]
        networks["lxdbr0"]["config"]["user.mcloud"] = mark
        remove_everywhere(walk.hosts["n1"], wanted)
        assert not networks


# ---- what is seen, and said of it ------------------------------------------------------------------------


def seen(lxd):
    return plugin.inspect(
        FakeHost(answer=lxd.command, files=lxd.files, sockets={"/var/lib/lxd/unix.socket": lxd.answer})
    )


def with_features(number, *features):
    return machine(number, service=FRESH.model_copy(update={"features": (*FRESH.features, *features)}))


def test_what_an_operator_made_is_seen():
    lxd = Lxd([])
    assert not any(feature.startswith("own:") for feature in seen(lxd).features)
    used_before(lxd)
    assert set(seen(lxd).features) >= {
        "own:profile web",
        "own:project shop",
        "own:certificate laptop",
        "own:setting user.owner",
        "own:what is set in the default profile",
        f"kept-address:{KEPT}",
        "default-profile-has:nic0=eth0",
        f"certificate:{1:064x}",
    }
    assert seen(lxd).standing == "idle"


def test_what_joining_loses_is_named_among_what_is_destroyed():
    nodes = (with_features(1, "own:profile base"), with_features(2, "own:profile web", "own:project shop"))
    steps = [
        step
        for step in plugin.join(
            node=nodes[1], nodes=nodes, settings=LxdSettings(), node_settings={}, fallen=()
        )
        if step.name == "member"
    ]
    end = "of LXD on n2: the cloud's take its place, `mcloud undo` brings it back"
    assert steps[0].destroys == (f"profile web {end}", f"project shop {end}")
    (said,) = [
        check for check in plugin.preflight(nodes, LxdSettings(), {}) if "profile base" in check.message
    ]
    assert said.level == "ok"


def test_clones_are_named_with_what_to_type():
    same = "certificate:" + "ab" * 32
    nodes = (with_features(1, same), with_features(2, same), with_features(3, "certificate:" + "cd" * 32))
    (check,) = found(*nodes)
    assert check.message.startswith("LXD on n1, n2 has the same certificate (abababababab...)")
    assert check.hint.startswith(
        "on n2: `systemctl stop lxd.service lxd.socket && rm /var/lib/lxd/server.crt"
    )


def test_what_a_cluster_left_behind_and_a_second_name_of_an_interface_are_warnings():
    nodes = (
        with_features(1, f"kept-address:{KEPT}", "default-profile-has:nic0=eth0"),
        machine(2),
        machine(3),
    )
    kept, profile = found(*nodes, level="warning")
    assert KEPT in kept.message
    assert "nic0 as the guest's eth0: it stays, and instances get that" in profile.message
    assert "replace" in profile.hint
    replaced = found(*nodes, settings=LxdSettings(default_profile="replace"), level="warning")[1]
    assert "it gives way until `mcloud undo`" in replaced.message
