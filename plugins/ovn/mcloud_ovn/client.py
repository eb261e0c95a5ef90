"""Typed calls of the tools of OVN and Open vSwitch; each one bounded in time."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcloud import Host, ServiceError
from mcloud_ovn.files import AUTHORITY, CERTIFICATE, KEY

SECONDS = 30
"""Limit for one answer of a local daemon, which takes milliseconds unless it hangs, or all services of a busy
machine start at once: then ten were too few."""


_STAND_ALONE = 2
"""Exit status of `db-is-clustered`, ovsdb-tool(1)."""

PATIENCE = 120
"""Seconds for what takes one on an idle machine: on one that is busy with all services, much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One of the two databases of OVN; ports and paths are OVN's own (ovn-ctl(8))."""

    schema: str
    short: str
    port: int
    raft_port: int
    sentinel: tuple[str, ...]
    """Tables that are empty as long as nobody uses the database."""

    @property
    def file(self) -> str:
        """Where it is stored."""
        return f"/var/lib/ovn/ovn{self.short}_db.db"

    @property
    def control(self) -> str:
        """The socket its server takes commands on."""
        return f"/run/ovn/ovn{self.short}_db.ctl"

    @property
    def socket(self) -> str:
        """Where its server is reached on this machine."""
        return f"unix:/run/ovn/ovn{self.short}_db.sock"

    @property
    def pid_file(self) -> str:
        """Where its server writes the number of its process."""
        return f"/run/ovn/ovn{self.short}_db.pid"

    @property
    def unit(self) -> str:
        """The systemd unit of its server."""
        return f"ovn-ovsdb-server-{self.short}.service"


NB = Database(
    schema="OVN_Northbound",
    short="nb",
    port=6641,
    raft_port=6643,
    sentinel=("Logical_Switch", "Logical_Router", "Load_Balancer", "Address_Set", "Port_Group", "Connection"),
)
SB = Database(
    schema="OVN_Southbound", short="sb", port=6642, raft_port=6644, sentinel=("Chassis", "Connection")
)
DATABASES = (NB, SB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raft:
    """What `cluster/status` says of one database, as its server on this machine sees it."""

    status: str
    """`cluster member` once it is in; `joining cluster`, `left cluster`, ... else."""
    leader: str
    """`self`, the short id of another server, or `unknown`."""
    servers: Mapping[str, str]
    """Short server id by raft address (`ssl:10.0.0.1:6643`)."""

    @property
    def settled(self) -> bool:
        """Whether this server is in and knows a leader."""
        return self.status == "cluster member" and self.leader not in {"", "unknown"}


def raft(host: Host, database: Database) -> Raft | None:
    """Return the raft's state; None if there is no server, or one that is not clustered."""
    asked = ["ovn-appctl", "-T", own_limit(host), "-t", database.control, "cluster/status", database.schema]
    answer = host.run(asked, check=False, seconds=SECONDS + 2)
    if not answer.ok:
        return None
    fields = dict(re.findall(r"^(Status|Leader): (.*)$", answer.stdout, flags=re.MULTILINE))
    listed = answer.stdout.partition("\nServers:\n")[2]
    # Lines such as: 1b7f (1b7f at ssl:10.10.0.11:6643) (self)
    servers = re.findall(r"^ +([0-9a-f]{4}) \([0-9a-f]{4} at ([^)]+)\)", listed, flags=re.MULTILINE)
    return Raft(
        status=fields.get("Status", ""),
        leader=fields.get("Leader", ""),
        servers={address: server for server, address in servers},
    )


def leave_raft(host: Host, database: Database) -> None:
    """Ask the others to let this machine's server go; returns at once."""
    _control(host, database, "cluster/leave", database.schema)


def kick(host: Host, database: Database, server: str) -> None:
    """Put a server out of the raft; takes a majority of the others."""
    _control(host, database, "cluster/kick", database.schema, server)


def is_clustered(host: Host, database: Database) -> bool:
    """Return whether the database's file is that of a raft server; False if there is no file."""
    if host.stat(database.file) is None:
        return False
    answer = host.run(["ovsdb-tool", "db-is-clustered", database.file], check=False, seconds=SECONDS)
    if answer.status not in {0, _STAND_ALONE}:
        # What is not known to be stand-alone must not be taken for it: such a file is removed.
        raise ServiceError(
            f"cannot tell what kind of database {database.file} is: {answer.stderr.strip()}",
            hint="look at the file and the disk it is on",
        )
    return answer.ok


def in_use(host: Host, database: Database) -> Sequence[str]:
    """Return which tables of a stand-alone database hold something; reads its file, needs no server."""
    if host.stat(database.file) is None:
        return ()
    questions = [
        {"op": "select", "table": table, "where": [], "columns": ["_uuid"]} for table in database.sentinel
    ]
    transaction = json.dumps([database.schema, *questions])
    answer = host.run(["ovsdb-tool", "query", database.file, transaction], seconds=SECONDS)
    found = json.loads(answer.stdout)
    return [table for table, rows in zip(database.sentinel, found, strict=False) if rows.get("rows")]


def daemon_status(host: Host, daemon: str, question: str) -> str:
    """Ask `ovn-northd` or `ovn-controller` one thing; "" if it does not run."""
    answer = host.run(
        ["ovn-appctl", "-T", own_limit(host), "-t", daemon, question], check=False, seconds=SECONDS + 2
    )
    return answer.stdout.strip() if answer.ok else ""


def northbound(host: Host, remote: str, *command: str, seconds: float = SECONDS) -> str:
    """Run `ovn-nbctl` over TLS, the way LXD does, with this machine's certificate."""
    return host.run(
        ["ovn-nbctl", f"--db={remote}", *TLS, f"--timeout={own_limit(host, seconds)}", *command],
        seconds=seconds + 2,
    ).stdout.strip()


def tunnel_addresses(host: Host, remote: str) -> frozenset[str]:
    """Return the addresses of all controllers that have registered, as the southbound database has them."""
    columns = ["--bare", "--no-headings", "--columns=ip", "list", "Encap"]
    asked = [
        "ovn-sbctl",
        f"--db={remote}",
        *TLS,
        "--no-leader-only",
        f"--timeout={own_limit(host)}",
        *columns,
    ]
    return frozenset(host.run(asked, seconds=SECONDS + 2).stdout.split())


def vsctl(host: Host, *command: str) -> str:
    """Run `ovs-vsctl` and wait until the switch has done it."""
    limit = f"--timeout={own_limit(host)}"
    return host.run(["ovs-vsctl", limit, *command], seconds=SECONDS + 2).stdout.strip()


def external_ids(host: Host) -> Mapping[str, str]:
    """Return what is set in Open vSwitch for others, the settings of ovn-controller among it."""
    said = json.loads(vsctl(host, "--format=json", "--columns=external_ids", "list", "Open_vSwitch", "."))
    return dict(said["data"][0][0][1])


def set_external_ids(host: Host, values: Mapping[str, str | None]) -> None:
    """Set keys, or remove those whose value is None, in one transaction."""
    if values:
        vsctl(host, *settings_command(values))


def settings_command(values: Mapping[str, str | None]) -> Sequence[str]:
    """Return the words for `ovs-vsctl` that set keys, or remove those whose value is None."""
    command: list[str] = []
    for key, value in values.items():
        command += ["--", "remove", "Open_vSwitch", ".", "external_ids", key]
        if value is not None:
            command += ["--", "set", "Open_vSwitch", ".", f"external_ids:{key}={json.dumps(value)}"]
    return command[1:]


def systemctl(host: Host, verb: str, *units: str, check: bool = True, seconds: float = 60) -> bool:
    """Run `systemctl`; return whether it said yes."""
    return host.run(["systemctl", verb, *units], check=check, seconds=seconds).ok


def active(host: Host, units: Sequence[str]) -> Sequence[str]:
    """Return those of the units that run."""
    return _units_that(host, "is-active", "active", units)


def enabled(host: Host, units: Sequence[str]) -> Sequence[str]:
    """Return those of the units that are started at boot."""
    return _units_that(host, "is-enabled", "enabled", units)


def ensure_enabled(host: Host, *units: str) -> None:
    """Have units started at boot; costs next to nothing if they are."""
    there = enabled(host, units)
    if missing := [unit for unit in units if unit not in there]:
        systemctl(host, "enable", *missing)


def _units_that(host: Host, question: str, yes: str, units: Sequence[str]) -> Sequence[str]:
    # Its status says no as soon as one is not; what it says, one word a unit, is what counts.
    answer = host.run(["systemctl", question, *units], check=False, seconds=SECONDS)
    said = answer.stdout.split()
    if len(said) != len(units):
        raise ServiceError(
            f"systemctl {question} did not tell of {', '.join(units)}: {answer.stderr.strip()}",
            hint="systemctl status says how systemd is",
        )
    return [unit for unit, state in zip(units, said, strict=True) if state == yes]


def _control(host: Host, database: Database, *command: str) -> None:
    host.run(["ovn-appctl", "-T", own_limit(host), "-t", database.control, *command], seconds=SECONDS + 2)


def own_limit(host: Host, seconds: float = SECONDS) -> str:
    """Return the deadline a tool is given as its own: it then says what it waited for, and is not killed."""
    return f"{max(1, seconds * host.stretch):.0f}"


TLS = (f"--private-key={KEY}", f"--certificate={CERTIFICATE}", f"--ca-cert={AUTHORITY}")
