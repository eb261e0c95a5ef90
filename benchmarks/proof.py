"""Look whether a cloud is what both ways have to end in."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mcloud.errors import CommandError, ServiceError
from mcloud.lab import Lab, Machine

PATIENCE = 120
"""Seconds."""
SERVERS = 3
"""Monitors, managers and database servers."""
LIMIT = 20
"""Seconds for one answer."""


Look = Callable[[Lab], Sequence[str]]


def until(look: Look, lab: Lab) -> tuple[float, Sequence[str]]:
    """Look until nothing is amiss; return how many seconds later the look that saw it began.

    That is 0 if the first one finds nothing amiss; with it comes what the last look before found.
    ServiceError names what still is amiss after two minutes.
    """
    began, waited, last = time.monotonic(), 0.0, list[str]()
    while missing := look(lab):
        if waited > PATIENCE:
            raise ServiceError("the cloud is not what it should be", hint="\n".join(missing))
        time.sleep(0.1)
        waited, last = time.monotonic() - began, list(missing)
    return waited, last


def late(lab: Lab) -> list[str]:
    """Return which managers do not stand by yet: the cloud is whole without them, but one short."""
    status = _ceph_status(lab.machine(lab.names()[0]))
    number = status["mgrmap"]["num_standbys"]
    return [] if number == SERVERS - 1 else [f"managers standing by: {number}, not {SERVERS - 1}"]


def amiss(lab: Lab) -> list[str]:
    """Return all that is not as it should be."""
    machines = [lab.machine(name) for name in lab.names()]
    looks: list[Callable[[], Iterator[str]]] = [
        lambda: _cluster(machines),
        lambda: _created(machines),
        lambda: _profile(machines[0]),
        lambda: _ceph(machines),
        lambda: _chassis(machines),
        *(lambda machine=machine: _raft(machine) for machine in machines[:SERVERS]),
    ]
    with ThreadPoolExecutor(len(looks)) as pool:
        return [line for found in pool.map(_safely, looks) for line in found]


def _safely(look: Callable[[], Iterator[str]]) -> Sequence[str]:
    try:
        return list(look())
    except (CommandError, ValueError, KeyError) as error:
        return [str(error)]


def _cluster(machines: Sequence[Machine]) -> Iterator[str]:
    members = _json(machines[0], "lxc", "cluster", "list", "--format", "json")
    online = {member["server_name"] for member in members if member["status"] == "Online"}
    yield from (f"LXD of {one.name} is not ONLINE" for one in machines if one.name not in online)


def _created(machines: Sequence[Machine]) -> Iterator[str]:
    wanted = {
        "storage": {"local": "btrfs", "remote": "ceph"},
        "network": {"UPLINK": "physical", "default": "ovn"},
    }
    names = {machine.name for machine in machines}
    for kind, things in wanted.items():
        listed = _json(machines[0], "lxc", kind, "list", "--format", "json")
        there = {
            one["name"]: (one.get("driver") or one.get("type"), one["status"], set(one["locations"]))
            for one in listed
            if one.get("locations")
        }
        for name, type_ in things.items():
            if there.get(name) != (type_, "Created", names):
                yield f"{kind} {name}: {there.get(name, 'not there')}"
    for machine in machines:
        for key, volume in (("storage.images_volume", "images"), ("storage.backups_volume", "backups")):
            if _say(machine, "lxc", "config", "get", "--target", machine.name, key) != f"local/{volume}":
                yield f"{key} of {machine.name} is not on local"


def _profile(machine: Machine) -> Iterator[str]:
    shown = _json(machine, "lxc", "query", "/1.0/profiles/default")
    wanted = {
        "root": {"type": "disk", "path": "/", "pool": "local"},
        "eth0": {"type": "nic", "name": "eth0", "network": "default"},
    }
    # mcloud marks what it made; the plain script does not.
    devices = {
        name: {key: value for key, value in device.items() if not key.startswith("user.")}
        for name, device in shown["devices"].items()
    }
    if devices != wanted:
        yield f"default profile: {devices}"


def _ceph(machines: Sequence[Machine]) -> Iterator[str]:
    status = _ceph_status(machines[0])
    groups, osds = status["pgmap"], status["osdmap"]
    clean = sum(one["count"] for one in groups["pgs_by_state"] if one["state_name"] == "active+clean")
    wanted = [
        ("health", status["health"]["status"], "HEALTH_OK"),
        ("placement groups active+clean", clean, groups["num_pgs"]),
        ("placement groups there", groups["num_pgs"] > 0, True),
        ("monitors in quorum", len(status["quorum_names"]), SERVERS),
        ("a manager is active", status["mgrmap"]["available"], True),
        ("OSDs up", osds["num_up_osds"], len(machines)),
        ("OSDs in", osds["num_in_osds"], len(machines)),
    ]
    yield from (f"{what}: {found}, not {right}" for what, found, right in wanted if found != right)


def _raft(machine: Machine) -> Iterator[str]:
    for short, name in (("nb", "OVN_Northbound"), ("sb", "OVN_Southbound")):
        status = _say(machine, "ovn-appctl", "-t", f"/run/ovn/ovn{short}_db.ctl", "cluster/status", name)
        servers = [line for line in status.splitlines() if " at ssl:" in line]
        if "Status: cluster member" not in status or len(servers) != SERVERS or "tcp:" in status:
            yield f"{name} on {machine.name}: {servers}"


def _chassis(machines: Sequence[Machine]) -> Iterator[str]:
    for machine in machines:
        said = _say(machine, "ovn-appctl", "-t", "ovn-controller", "connection-status")
        remote = _say(machine, "ovs-vsctl", "get", "open_vswitch", ".", "external_ids:ovn-remote")
        if said != "connected" or remote.strip('"').count("ssl:") != SERVERS or "tcp:" in remote:
            yield f"ovn-controller on {machine.name}: {said} to {remote}"


def _ceph_status(machine: Machine) -> Any:
    return _json(machine, "ceph", "--connect-timeout", "10", "status", "--format", "json")


def _json(machine: Machine, *command: str) -> Any:
    return json.loads(_say(machine, *command))


def _say(machine: Machine, *command: str) -> str:
    return machine.run(command, input="", timeout=LIMIT).stdout.strip()
