"""Whole clouds in the lab, for tests: form them, look whether they are what they should be, break them."""

import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ruamel.yaml import YAML

from mcloud.lab import Lab, Machine
from mcloud.lab.forming import LOG, begin, hand_out

EXAMPLE = Path(__file__).parents[2] / "examples" / "lab.yaml"
IMAGE = "tiny"
START = """#!/bin/sh
mount -t proc proc /proc
ip link set lo up
ip link set eth0 up
exec udhcpc -f -i eth0 -s /lease
"""
LEASE = """#!/bin/sh
[ "$1" = bound ] && ip addr flush dev $interface && ip addr add $ip/$mask dev $interface
exit 0
"""


def cloud_file(machines: int, *, services: Sequence[str] = ("lxd", "ceph", "ovn"), **sections: object) -> str:
    """Return the example's file for so many machines and some services, with sections put in."""
    yaml = YAML(typ="safe")
    text = yaml.load(EXAMPLE.read_text())
    text["machines"] = {
        f"n{n}": {"address": f"10.10.0.{10 + n}", "ovn": {"underlay_ip": f"10.10.2.{10 + n}"}}
        for n in range(1, machines + 1)
    }
    for service in {"lxd", "ceph", "ovn"} - set(services):
        for part in (text, text["each"], *text["machines"].values()):
            part.pop(service, None)
    text.update(sections)
    written = io.StringIO()
    yaml.dump(text, written)
    return written.getvalue()


def form(lab: Lab, text: str, *, verb: str = "preseed", seconds: float = 300) -> dict[str, int]:
    """Type the command on every machine and return the exit statuses."""
    hand_out(lab, text)
    running = {name: begin(lab.machine(name), verb=verb) for name in lab.names()}
    return {name: process.wait(timeout=seconds) for name, process in running.items()}


def formed(lab: Lab, text: str) -> None:
    """Form a cloud; fail with every machine's last words if one did not end well."""
    statuses = form(lab, text)
    assert not any(statuses.values()), f"{statuses}\n{logs(lab)}"


def logs(lab: Lab) -> str:
    """Return the last words of mcloud on every machine."""
    last = f"tail -n 25 {LOG}; tail -n 12 /var/lib/mcloud/bugs.log 2>/dev/null"
    said = {name: lab.machine(name).run(["sh", "-c", last], check=False).stdout for name in lab.names()}
    return "\n".join(f"---- {name}\n{words}" for name, words in said.items())


def eventually(look: Callable[[], Sequence[str]], *, seconds: float) -> None:
    """Look again until nothing is amiss; fail with what still is after so many seconds."""
    deadline = time.monotonic() + seconds
    while amiss := look():
        assert time.monotonic() < deadline, f"after {seconds} s: {amiss}"
        time.sleep(0.5)


def asked(machine: Machine, *argv: str, seconds: float = 20) -> str:
    """Return what a command says; empty if it fails or takes too long."""
    done = machine.run(["timeout", "-k", "1", str(seconds), *argv], check=False)
    return done.stdout if done.returncode == 0 else ""


def amiss(lab: Lab, *, monitors: int, warnings: Sequence[str] = ()) -> list[str]:
    """Return all that is not as it should be in a cloud of all services; nothing if it is well."""
    return amiss_of(lab, lab.names(), monitors=monitors, warnings=warnings)


def amiss_of(lab: Lab, names: Sequence[str], *, monitors: int, warnings: Sequence[str] = ()) -> list[str]:
    """Return all that is not as it should be in a cloud of some machines of the lab."""
    first, size = lab.machine(names[0]), len(names)
    return [
        *_lxd_amiss(first, size),
        *_ceph_amiss(first, size, monitors, warnings),
        *(line for name in names[:monitors] for line in _ovn_amiss(lab.machine(name), monitors)),
        *(line for name in names for line in _ports_amiss(lab.machine(name))),
    ]


def _lxd_amiss(machine: Machine, size: int) -> list[str]:
    members = _json(asked(machine, "lxc", "cluster", "list", "--format", "json")) or []
    online = [member["server_name"] for member in members if member["status"] == "Online"]
    found = [] if len(online) == size else [f"LXD members online: {online}, not {size}"]
    for kind, names in (("storage", ("local", "remote")), ("network", ("UPLINK", "default"))):
        there = {
            one["name"]: one["status"]
            for one in _json(asked(machine, "lxc", kind, "list", "--format", "json")) or []
        }
        found += [f"{kind} {name} is {there.get(name)}" for name in names if there.get(name) != "Created"]
    return found


def _ceph_amiss(machine: Machine, size: int, monitors: int, warnings: Sequence[str]) -> list[str]:
    status = _json(asked(machine, "ceph", "--connect-timeout", "10", "-s", "-f", "json"))
    if not status:
        return ["ceph does not answer"]
    states = {state["state_name"]: state["count"] for state in status["pgmap"].get("pgs_by_state", [])}
    checks = set(status["health"].get("checks", {}))
    found = []
    if checks - set(warnings):
        found.append(f"{status['health']['status']}: {sorted(checks - set(warnings))}")
    if set(states) != {"active+clean"}:
        found.append(f"placement groups: {states}")
    if len(status["quorum_names"]) != monitors:
        found.append(f"monitors in quorum: {status['quorum_names']}")
    if status["osdmap"]["num_up_osds"] != size or status["osdmap"]["num_in_osds"] != size:
        found.append(f"OSDs: {status['osdmap']}")
    return found


def _ovn_amiss(machine: Machine, servers: int) -> list[str]:
    found = []
    for short, name in (("nb", "OVN_Northbound"), ("sb", "OVN_Southbound")):
        status = asked(machine, "ovn-appctl", "-t", f"/var/run/ovn/ovn{short}_db.ctl", "cluster/status", name)
        members = [line for line in status.splitlines() if " at ssl:" in line]
        if "Status: cluster member" not in status or len(members) != servers or "tcp:" in status:
            found.append(f"{machine.name} {name}: {members or 'no answer'}")
    return found


def _ports_amiss(machine: Machine) -> list[str]:
    """OVN's own ports (6640 to 6645) must not answer in plain text."""
    found = []
    for line in asked(machine, "ss", "-Hltn").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        if 6640 <= int(port) <= 6645:
            plain = machine.run(["ovsdb-client", "-t", "3", "list-dbs", f"tcp:{address}:{port}"], check=False)
            if plain.returncode == 0:
                found.append(f"{machine.name} answers in plain text on {address}:{port}")
    return found


def _json(text: str):
    return json.loads(text) if text.strip() else None


# ---- instances -------------------------------------------------------------------------------------------


def instances_ping(lab: Lab) -> list[str]:
    """Return the pairs of instances, one on each machine, that cannot ping each other over the network."""
    first = lab.machine(lab.names()[0])
    addresses: dict[str, str] = {}
    listed = _json(asked(first, "lxc", "list", "--format", "json")) or []
    for one in listed:
        for network in ((one.get("state") or {}).get("network") or {}).values():
            for address in network["addresses"]:
                if address["family"] == "inet" and address["scope"] == "global":
                    addresses[one["name"]] = address["address"]
    if len(addresses) < len(lab.names()):
        return [f"instances with an address: {addresses}"]
    return [
        f"{one} cannot ping {other} at {address}"
        for one in addresses
        for other, address in addresses.items()
        if one != other and not asked(first, "lxc", "exec", one, "--", "ping", "-c", "1", "-W", "2", address)
    ]


def launch_instances(lab: Lab) -> None:
    """Import the tiny image and start an instance on each machine."""
    first = lab.machine(lab.names()[0])
    import_image(first)
    for name in lab.names():
        first.run(["lxc", "launch", IMAGE, f"i-{name}", "--target", name], timeout=120)


def import_image(machine: Machine) -> None:
    """Give LXD the tiny image, by a machine of its cluster."""
    with Path(f"/proc/{machine.pid}/root/root/image.tar.gz").open("wb") as file:
        file.write(_image())
    machine.run(["lxc", "image", "import", "/root/image.tar.gz", "--alias", IMAGE])


def _image() -> bytes:
    """Return an LXD image: a static busybox that asks for an address and stays."""
    busybox = Path("/bin/busybox").read_bytes()
    meta = {"architecture": "x86_64", "creation_date": 1, "properties": {"description": "busybox"}}
    files = {
        "metadata.yaml": (json.dumps(meta).encode(), 0o644),
        "rootfs/bin/busybox": (busybox, 0o755),
        "rootfs/sbin/init": (START.encode(), 0o755),
        "rootfs/lease": (LEASE.encode(), 0o755),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for folder in (
            "rootfs",
            "rootfs/bin",
            "rootfs/sbin",
            "rootfs/proc",
            "rootfs/sys",
            "rootfs/dev",
            "rootfs/tmp",
        ):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        for applet in ("sh", "ip", "mount", "ping", "udhcpc", "sleep", "cat", "wget", "nc"):
            entry = tarfile.TarInfo(f"rootfs/bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return packed.getvalue()


# ---- journals --------------------------------------------------------------------------------------------


def journal(machine: Machine) -> list[Mapping[str, object]]:
    """Return the lines of the latest run's journal on a machine; none if there is none."""
    runs = machine.run(
        ["sh", "-c", "ls -t /var/lib/mcloud/runs/*.jsonl 2>/dev/null | head -n 1"]
    ).stdout.strip()
    if not runs:
        return []
    text = machine.run(["cat", runs]).stdout
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def began(machine: Machine) -> Counter[str]:
    """Return how often each step was begun in the latest run."""
    return Counter(str(line["key"]) for line in journal(machine) if line["event"] == "started")


def done_twice(machine: Machine) -> list[str]:
    """Return the steps that the journal says were completed more than once for the same roster.

    What is never written down (a token, a step that only waits for something) is done anew each
    time; its lines hold no offers. For another roster all is looked at again, and done again where it
    is not as that wants it: a machine that was out, for one, has to join again.
    """
    ended, twice = Counter[str](), dict[str, None]()
    for line in journal(machine):
        if line["event"] in {"cut", "grown"}:
            ended.clear()
        elif line["event"] in {"done", "adopted"} and "offers" in line:
            ended[str(line["key"])] += 1
            twice |= dict.fromkeys(key for key, count in ended.items() if count > 1)
    return list(twice)


def of_a_cluster(machine: Machine) -> list[str]:
    """Return what is still there of a cluster of any kind; nothing if it is ready for a new run."""
    found = []
    if (_json(asked(machine, "lxc", "query", "/1.0/cluster")) or {}).get("enabled"):
        found.append("LXD is clustered")
    for kind in ("storage", "network"):
        listed = _json(asked(machine, "lxc", kind, "list", "--format", "json")) or []
        found += [f"LXD has {kind} {one['name']}" for one in listed if one.get("managed", True)]
    for what in (
        "ls /etc/ceph/*.conf /etc/ceph/*.keyring",
        "ls -d /var/lib/ceph/mon/* /var/lib/ceph/osd/* /var/lib/ceph/mgr/*",
        "ls /var/lib/mcloud/cloud.json",
        "ls /etc/ovn/*.pem /etc/ovn/*.crt /etc/ovn/cert_host /etc/ovn/key_host",
        "pgrep -l 'ceph-(mon|mgr|osd)'",
        "blkid -p /dev/disk/by-id/lab-*-sd[ab]*",  # whatever they are called
    ):
        found += machine.run(["sh", "-c", f"{what} 2>/dev/null"], check=False).stdout.split("\n")[:-1]
    standalone = machine.run(["sh", "-c", "ovs-vsctl get open . external_ids"], check=False).stdout
    if "ovn-remote" in standalone:
        found.append(f"Open vSwitch: {standalone.strip()}")
    for short in ("nb", "sb"):
        path = f"/var/lib/ovn/ovn{short}_db.db"
        kind = machine.run(["ovsdb-tool", "db-is-clustered", path], check=False)
        if kind.returncode == 0:
            found.append(f"{path} is a raft's")
    return found
