"""What LXD is on this machine before any change: the plugin's `inspect`."""

from collections.abc import Iterator

from mcloud import Host, Obstacle, ServiceState, obstacles
from mcloud_lxd.belongings import ADDRESSES, OWN, belongings
from mcloud_lxd.choice import feature
from mcloud_lxd.client import SWITCHES, LxdError, Server, call, server, socket_path, things
from mcloud_lxd.cluster_client import members
from mcloud_lxd.machine import FOLDER, UNITS
from mcloud_lxd.profile import PATH as PROFILE
from mcloud_lxd.profile import clashing
from mcloud_lxd.settings import PROFILE_CLASH, PROFILE_DEVICE

PROGRAMS = {"/usr/bin/lxd": "lxd", "/usr/bin/lxc": "lxd-client"}
"""Debian's packages, by a program of each."""

PORT = 8443
"""LXD's own, https://documentation.ubuntu.com/lxd (`core.https_address`)."""

MASKABLE = (*UNITS, "lxd.service")

CERTIFICATE = "certificate:"
"""Before the fingerprint of LXD's certificate, among the features of a ServiceState."""

ADDRESS_KEPT = "kept-address:"
"""Before the address of a cluster that this LXD has left, among the features of a ServiceState."""

_MOST = 256
"""Features at most: who has more profiles and projects hears of the first."""

STARTING = 45.0
"""Seconds for the first call, which starts LXD: nine that start at once on a busy machine take long."""

PATIENCE = 15.0
"""Seconds for each call after it."""


def look_at(host: Host) -> ServiceState:
    """Return what this machine's LXD is and holds. Starts it, if its socket does so; changes nothing."""
    path = socket_path(host)
    missing = tuple(package for program, package in PROGRAMS.items() if host.stat(program) is None)
    snap = path.startswith("/var/snap")
    if missing and not snap:
        return ServiceState(installed=False, missing=missing)
    if host.stat(path) is None:
        return _silent(host, "its socket is not there: lxd.socket is stopped")
    try:
        return _what_it_holds(host, server(host, seconds=STARTING))
    except LxdError as error:
        return _silent(host, str(error))


def _silent(host: Host, why: str) -> ServiceState:
    """Return what can be told of an LXD that does not answer: only a cluster leaves this file."""
    clustered = host.stat(f"{FOLDER}/cluster.crt") is not None
    return ServiceState(
        installed=True,
        standing="clustered" if clustered else "idle",
        note=why[:255],
        obstacles=obstacles(host, ports={PORT: "LXD's API"}, units=MASKABLE, ours=("lxd",)),
    )


def _what_it_holds(host: Host, here: Server) -> ServiceState:
    features = sorted(here.extensions & SWITCHES) + sorted(feature(driver) for driver in here.drivers)
    if here.clustered:
        return ServiceState(
            installed=True,
            version=here.version,
            features=tuple(features),
            standing="clustered",
            cluster=here.config.get("cluster.https_address", ""),
            members=tuple(member.name for member in members(host, seconds=PATIENCE)),
        )
    held = _in_use(host)
    devices = call(host, "GET", PROFILE, seconds=PATIENCE)["devices"]
    in_the_way = obstacles(host, ports={PORT: "LXD's API"}, units=MASKABLE, ours=("lxd",))
    return ServiceState(
        installed=True,
        version=here.version,
        features=(
            *features,
            f"{CERTIFICATE}{here.fingerprint}",
            *(f"{ADDRESS_KEPT}{here.config[key]}" for key in ADDRESSES[1:] if here.config.get(key)),
            *(f"{PROFILE_DEVICE}{name[:64]}" for name in sorted(devices) if name.isprintable()),
            *(f"{PROFILE_CLASH}{clash}" for clash in clashing(devices) if clash.isprintable()),
            *(f"{OWN}{what[:200]}" for what in belongings(host, seconds=PATIENCE) if what.isprintable()),
        )[:_MOST],
        standing="alone" if held else "idle",
        note=held[:255],
        obstacles=(*in_the_way, *_proxies(host)),
    )


def _proxies(host: Host) -> Iterator[Obstacle]:
    """Find proxies in the environment of the LXD that runs: members would seek each other through them."""
    shown = host.run(["systemctl", "show", "--property=MainPID", "--value", "lxd.service"], check=False)
    pid = shown.stdout.strip()
    if not pid.isdigit() or pid == "0":
        return
    pairs = (pair.partition("=") for pair in (host.read(f"/proc/{pid}/environ") or "").split("\0"))
    given = {name.lower(): value for name, _, value in pairs}
    for name in ("https_proxy", "all_proxy"):
        # Not its value: it may hold a password.
        if given.get(name) and not given.get("no_proxy"):
            yield Obstacle(
                kind="other",
                name=name,
                message=f"LXD runs with {name.upper()} in its environment: members would go through it",
                hint="add NO_PROXY with all machines' addresses beside it (systemctl edit lxd), "
                "then systemctl restart lxd",
            )


def _in_use(host: Host) -> str:
    """Return what an LXD outside of clusters holds, in words; "" if nothing."""
    found = {
        "pool": [pool["name"] for pool in things(host, "storage-pools")],
        "network": [network["name"] for network in things(host, "networks") if network["managed"]],
        "instance": [instance["name"] for instance in things(host, "instances?all-projects=true")],
        "image": [image["fingerprint"][:12] for image in things(host, "images?all-projects=true")],
    }
    return "; ".join(
        f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}" for kind, names in found.items() if names
    )
