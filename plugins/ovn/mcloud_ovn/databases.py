"""Steps for the two databases, each a raft of its servers over TLS, and for northd beside them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from mcloud import Host, Node, Offer, ServiceError, Step, StepContext
from mcloud_ovn.client import (
    DATABASES,
    NB,
    PATIENCE,
    SB,
    Database,
    active,
    ensure_enabled,
    is_clustered,
    leave_raft,
    raft,
    systemctl,
)
from mcloud_ovn.files import AUTHORITY, CENTRAL_DEFAULTS, CERTIFICATE, KEY, NORTHD_PARAMETERS, defaults
from mcloud_ovn.kept import keep, keep_file, kept, restore_file
from mcloud_ovn.roles import bracketed, remotes

CENTRAL = "ovn-central.service"
NORTHD = "ovn-northd.service"
UNITS = (CENTRAL, NORTHD, NB.unit, SB.unit)
"""All of them: stopping the first returns while the servers still run."""

KNOWN = 10.0
"""Seconds in which a server that is in its raft finds its leader; two elections take less."""

LEAVING = 5.0
"""Seconds in which a server that can leave its raft has left; one that cannot is just stopped."""


def central_options(node: Node, *, peer: Node | None) -> str:
    """Return /etc/default/ovn-central of a server: found a raft, or join that of a peer."""
    options = []
    for database in DATABASES:
        at = f"--db-{database.short}-cluster"
        options += [f"{at}-local-addr={bracketed(node.address)}", f"{at}-local-proto=ssl"]
        if peer:
            options += [f"{at}-remote-addr={bracketed(peer.address)}", f"{at}-remote-proto=ssl"]
        options += [f"--db-{database.short}-create-insecure-remote=no"]
        options += _tls(f"--ovn-{database.short}-db-ssl")
    return defaults([*options, *_tls("--ovn-northd-ssl")])


def northd_parameters(servers: Sequence[Node]) -> str:
    """Return ovn-northd-db-params.conf: all servers that northd may find the databases' leaders on."""
    return " ".join(f"--ovn{database.short}-db={remotes(servers, database)}" for database in DATABASES) + "\n"


def drop_ins(node: Node) -> Mapping[str, str]:
    """Return what is added to systemd's units, by path.

    The servers listen for clients on the machine's address only (a `Connection` row in the database
    would be shared by all servers, so it could name no address). northd waits for the rafts: at its
    start it tries each server once without a pause, but between later tries up to eight seconds.
    """
    texts = {}
    waits = ["[Service]"]
    for database in DATABASES:
        listen = f"--remote=pssl:{database.port}:{bracketed(node.address)}"
        texts[drop_in(database.unit)] = (
            "[Unit]\nWants=network-online.target\nAfter=network-online.target\n\n"
            "[Service]\nExecStart=\n"
            f"ExecStart=/usr/share/ovn/scripts/ovn-ctl run_{database.short}_ovsdb $OVN_CTL_OPTS -- {listen}\n"
        )
        waits += [
            f"ExecStartPre=-ovsdb-client --timeout=20 wait {database.socket} {database.schema} connected"
        ]
    return {**texts, drop_in(NORTHD): "\n".join([*waits, ""])}


def serve(node: Node, *, peer: Node | None, back: bool = False) -> Step:
    """Run both databases here: found their rafts, or join those of a peer.

    With `back` the others may have put this server out since. Such a one is never let in again, so where
    it is not in any more it is made anew out of what the others have.
    """
    return Step(
        name="databases",
        run=partial(_serve, node, central_options(node, peer=peer), back),
        probe=_serving,
        undo=_stop_serving,
        loses=("this machine's copy of OVN's databases; with the last one, all virtual networks",),
    )


def start_northd(servers: Sequence[Node]) -> Step:
    """Run northd, which turns networks into flows; one is active in the cloud, the others stand by."""
    return Step(
        name="northd",
        run=partial(_start_northd, northd_parameters(servers)),
        probe=_northd_runs,
        undo=_stop_northd,
    )


def restart_northd(host: Host) -> None:
    """Start northd anew, with the parameters that are in its file now."""
    systemctl(host, "start", CENTRAL)
    systemctl(host, "restart", NORTHD)


def northd_command(host: Host) -> Sequence[str]:
    """Return what northd was started with; empty if it does not run.

    Whether it is connected tells nothing: one that stands by goes from server to server until it
    meets a leader.
    """
    shown = host.run(["systemctl", "show", "--property=MainPID", "--value", NORTHD], seconds=10)
    return (host.read(f"/proc/{shown.stdout.strip()}/cmdline") or "").split("\0")


def drop_in(unit: str) -> str:
    """Return the path of what we add to one of systemd's units."""
    return f"/etc/systemd/system/{unit}.d/mcloud.conf"


def _tls(prefix: str) -> list[str]:
    return [f"{prefix}-key={KEY}", f"{prefix}-cert={CERTIFICATE}", f"{prefix}-ca-cert={AUTHORITY}"]


def _serve(node: Node, options: str, back: bool, ctx: StepContext) -> None:  # noqa: FBT001 - a partial
    host = ctx.host
    keep_file(ctx, CENTRAL_DEFAULTS)
    keep(ctx, "active", active(host, UNITS))
    there = [database for database in DATABASES if is_clustered(host, database)]
    if back and there and not _let_in(ctx):
        there = []
    if len(there) < len(DATABASES):
        systemctl(host, "stop", *UNITS)
        for database in DATABASES:
            if database not in there:
                remove_file(ctx.host, database)
        for path, text in drop_ins(node).items():
            host.write(path, text)
        host.write(CENTRAL_DEFAULTS, options)
    _start_servers(host)
    ctx.wait(lambda: _serving(ctx), what="both databases to be in their rafts", patience=PATIENCE)


def _start_servers(host: Host) -> None:
    systemctl(host, "daemon-reload")
    ensure_enabled(host, CENTRAL)
    systemctl(host, "reset-failed", *UNITS, check=False)
    systemctl(host, "start", NB.unit, SB.unit)


def _let_in(ctx: StepContext) -> bool:
    """Whether the others still know this machine's servers, which may just have lost their power.

    One that is in must not be made anew: the others would wait for the old one for ever.
    """
    _start_servers(ctx.host)
    with suppress(ServiceError):
        ctx.wait(lambda: _serving(ctx), what="the others to know these servers", patience=KNOWN)
        return True
    return False


def _serving(ctx: StepContext) -> Sequence[Offer] | None:
    states = (raft(ctx.host, database) for database in DATABASES)
    return () if all(state and state.settled for state in states) else None


def _stop_serving(ctx: StepContext) -> None:
    before = kept(ctx, "active")
    if before is None:
        return
    stop_databases(ctx)
    restore_file(ctx, CENTRAL_DEFAULTS)
    if before:
        systemctl(ctx.host, "start", *before)


def stop_databases(ctx: StepContext) -> None:
    """Leave the rafts if there is still somebody to let us go, stop all and remove the databases."""
    host = ctx.host
    leaving = [database for database in DATABASES if _can_leave(ctx, database)]
    with suppress(ServiceError):
        for database in leaving:
            leave_raft(host, database)
        if leaving:
            ctx.wait(partial(_all_left, ctx, leaving), what="the others to let go", patience=LEAVING)
    systemctl(host, "stop", *UNITS)
    for database in DATABASES:
        remove_file(ctx.host, database)
    for unit in (NB.unit, SB.unit, NORTHD):
        host.write(drop_in(unit), None)
    systemctl(host, "daemon-reload")


def _can_leave(ctx: StepContext, database: Database) -> bool:
    state = raft(ctx.host, database)
    return state is not None and state.settled and len(state.servers) > 1


def _all_left(ctx: StepContext, databases: Sequence[Database]) -> bool | None:
    states = [raft(ctx.host, database) for database in databases]
    return True if all(state is None or state.status.startswith("left") for state in states) else None


def remove_file(host: Host, database: Database) -> None:
    """Remove a database whose server does not run."""
    folder, _, name = database.file.rpartition("/")
    host.write(database.file, None)
    host.write(f"{folder}/.{name}.~lock~", None)


def _start_northd(parameters: str, ctx: StepContext) -> None:
    ctx.host.write(NORTHD_PARAMETERS, parameters)
    restart_northd(ctx.host)


def _northd_runs(ctx: StepContext) -> Sequence[Offer] | None:
    # With some servers of ours; all of them are seen to in `adapt`.
    return () if any(word.startswith("--ovnnb-db=ssl:") for word in northd_command(ctx.host)) else None


def _stop_northd(ctx: StepContext) -> None:
    systemctl(ctx.host, "stop", NORTHD)
    ctx.host.write(NORTHD_PARAMETERS, None)
