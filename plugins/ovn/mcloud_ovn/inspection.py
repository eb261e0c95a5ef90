"""What there is of OVN on a machine, before any plan; reads only."""

import json
from collections.abc import Iterator
from typing import Any

from mcloud import Host, ServiceState, obstacles
from mcloud_ovn import others
from mcloud_ovn.chassis import CONTROLLER, HOST
from mcloud_ovn.client import DATABASES, active, external_ids, in_use, is_clustered
from mcloud_ovn.databases import UNITS
from mcloud_ovn.files import AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY
from mcloud_ovn.mark import port_names
from mcloud_ovn.uplink import PORT

PROGRAMS = {
    "/usr/bin/ovs-vsctl": "openvswitch-switch",
    "/usr/bin/ovn-controller": "ovn-host",
}
SERVER_PROGRAMS = {"/usr/bin/ovn-northd": "ovn-central"}
"""Not asked of machines that will run no database."""

SWITCH = "ovs-vswitchd.service"
SWITCH_RUNS = "switch-runs"
SERVER_PORTS = {
    **{database.port: f"clients of {database.schema}" for database in DATABASES},
    **{database.raft_port: f"the raft of {database.schema}" for database in DATABASES},
}
SERVERS_ONLY = frozenset({*UNITS, *map(str, SERVER_PORTS)})
"""What only the machines need that run the databases."""

HOST_UNITS = ("openvswitch-switch.service", "ovsdb-server.service", SWITCH, HOST, CONTROLLER)

ROUTED_BY = "routed-by:"
"""Before the name of an interface that routes lead through, beyond those of its own networks."""

NO_CARRIER = "no-carrier:"
"""Before the name of an interface that is up, with no cable or nothing at its other end."""

_MOST = 256


def look(host: Host) -> ServiceState:
    """Return what is installed, and what of it is in use."""
    missing = [package for path, package in PROGRAMS.items() if host.stat(path) is None]
    missing_too = [package for path, package in SERVER_PROGRAMS.items() if host.stat(path) is None]
    if missing:
        return ServiceState(installed=False, missing=(*missing, *missing_too))
    clustered = [database.schema for database in DATABASES if is_clustered(host, database)]
    found = [*_databases_in_use(host, clustered), *_configured(host), *_files(host)]
    return ServiceState(
        installed=True,
        version=_version(host),
        features=(*_switch(host), *_routes(host))[:_MOST],
        standing="clustered" if clustered else "alone" if found else "idle",
        missing=tuple(missing_too),
        obstacles=obstacles(host, ports=SERVER_PORTS, units=(*HOST_UNITS, *UNITS)),
        note="; ".join([*(f"a clustered {schema} database" for schema in clustered), *found])[:255],
    )


def _version(host: Host) -> str:
    words = host.run(["ovn-controller", "--version"], seconds=10).stdout.split()
    return words[1] if len(words) > 1 else ""


def _databases_in_use(host: Host, clustered: list[str]) -> Iterator[str]:
    if clustered or host.stat("/usr/bin/ovsdb-tool") is None:
        return
    for database in DATABASES:
        if tables := in_use(host, database):
            yield f"{database.schema} with rows in {', '.join(tables)}"


def _configured(host: Host) -> Iterator[str]:
    if not _runs(host):
        return
    if remote := external_ids(host).get("ovn-remote"):
        yield f"Open vSwitch set to use OVN at {remote[:80]}"


def _files(host: Host) -> Iterator[str]:
    for path in (KEY, CERTIFICATE, AUTHORITY, AUTHORITY_KEY):
        if host.stat(path):
            yield f"the file {path}"


def _runs(host: Host) -> bool:
    return bool(active(host, [SWITCH]))


def _switch(host: Host) -> Iterator[str]:
    if not _runs(host):
        return
    yield SWITCH_RUNS
    yield from others.look(host)
    yield from (f"{NO_CARRIER}{name}" for name in others.without_carrier(host))
    for port in port_names(host):
        yield f"{PORT}{port}"


def _routes(host: Host) -> Iterator[str]:
    interfaces = {
        route["dev"]
        for family in ("-4", "-6")
        for route in _ip_routes(host, family)
        if "dev" in route and route.get("protocol") != "kernel"
    }
    for interface in sorted(interfaces):
        yield f"{ROUTED_BY}{interface}"


def _ip_routes(host: Host, family: str) -> list[dict[str, Any]]:
    answer = host.run(["ip", "-j", family, "route", "show"], check=False, seconds=10)
    return list(json.loads(answer.stdout or "[]")) if answer.ok else []
