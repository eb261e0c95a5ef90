"""Steps for the two databases, each a raft of its servers over TLS."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from mcloud import Host, Node, Offer, ServiceError, Step, StepContext, holder, listeners, wait_with_units
from mcloud_ovn.client import (
    DATABASES,
    NB,
    PATIENCE,
    SB,
    SECONDS,
    TLS,
    Database,
    active,
    ensure_enabled,
    is_clustered,
    leave_raft,
    own_limit,
    raft,
    systemctl,
)
from mcloud_ovn.files import AUTHORITY, CENTRAL_DEFAULTS, CERTIFICATE, KEY, defaults
from mcloud_ovn.kept import keep, kept
from mcloud_ovn.northd import CENTRAL, NORTHD
from mcloud_ovn.roles import bracketed

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
        probe=partial(_serving, node),
        undo=_stop_serving,
        loses=("this machine's copy of OVN's databases; with the last one, all virtual networks",),
    )


def drop_in(unit: str) -> str:
    """Return the path of what we add to one of systemd's units."""
    return f"/etc/systemd/system/{unit}.d/mcloud.conf"


DROP_INS = tuple(map(drop_in, (NB.unit, SB.unit, NORTHD)))


def _tls(prefix: str) -> list[str]:
    return [f"{prefix}-key={KEY}", f"{prefix}-cert={CERTIFICATE}", f"{prefix}-ca-cert={AUTHORITY}"]


def _serve(node: Node, options: str, back: bool, ctx: StepContext) -> None:  # noqa: FBT001 - a partial
    host = ctx.host
    ctx.keep_file(CENTRAL_DEFAULTS)
    keep(ctx, "active", active(host, UNITS))
    there = [database for database in DATABASES if is_clustered(host, database)]
    if back and there and not _let_in(node, ctx):
        there = []
    if len(there) < len(DATABASES):
        systemctl(host, "stop", *UNITS)
        for database in DATABASES:
            if database not in there:
                remove_file(ctx.host, database)
        _refuse_taken_ports(node, host)
        for path, text in drop_ins(node).items():
            ctx.keep_file(path)
            host.write(path, text)
        host.write(CENTRAL_DEFAULTS, options)
    _start_servers(host)
    wait_with_units(
        ctx,
        lambda: _serving(node, ctx),
        units=(NB.unit, SB.unit),
        what="both databases to be in their rafts, and to be reached",
        patience=PATIENCE,
    )


def _refuse_taken_ports(node: Node, host: Host) -> None:
    """Raise ServiceError where somebody else listens: a raft of one is content without its port.

    Our own servers are stopped by now.
    """
    found = listeners(host)
    ports = [port for database in DATABASES for port in (database.port, database.raft_port)]
    taken = {port: one for port in ports if (one := holder(found, port, node.address))}
    if taken:
        raise ServiceError(
            f"OVN's databases cannot listen on {node.name}: "
            + "; ".join(f"port {port} is taken by {one.words}" for port, one in taken.items()),
            hint="stop that program, or have it listen elsewhere; then run the same command again",
        )


def _start_servers(host: Host) -> None:
    systemctl(host, "daemon-reload")
    ensure_enabled(host, CENTRAL)
    systemctl(host, "reset-failed", *UNITS, check=False)
    systemctl(host, "start", NB.unit, SB.unit)


def _let_in(node: Node, ctx: StepContext) -> bool:
    """Whether the others still know this machine's servers, which may just have lost their power.

    One that is in must not be made anew: the others would wait for the old one for ever.
    """
    _start_servers(ctx.host)
    with suppress(ServiceError):
        ctx.wait(lambda: _serving(node, ctx), what="the others to know these servers", patience=KNOWN)
        return True
    return False


def _serving(node: Node, ctx: StepContext) -> Sequence[Offer] | None:
    states = (raft(ctx.host, database) for database in DATABASES)
    if not all(state and state.settled for state in states):
        return None
    return () if all(_is_reached(ctx.host, node.address, database) for database in DATABASES) else None


def _is_reached(host: Host, address: str, database: Database) -> bool:
    """Return whether the database's server is reached where others will: over TLS, at this address.

    And by the raft's port: a raft of one does its work without ever having got hold of it.
    """
    port = holder(listeners(host), database.raft_port, address)
    if port is None or str(port.pid) != (host.read(database.pid_file) or "").strip():
        return False
    at = f"ssl:{bracketed(address)}:{database.port}"
    asked = ["ovsdb-client", f"--timeout={own_limit(host)}", *TLS, "list-dbs", at]
    answer = host.run(asked, check=False, seconds=SECONDS + 2)
    return answer.ok and database.schema in answer.stdout.split()


def _stop_serving(ctx: StepContext) -> None:
    before = kept(ctx, "active")
    if before is None:
        return
    stop_databases(ctx)
    ctx.restore_file(CENTRAL_DEFAULTS)
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
    for path in DROP_INS:
        host.write(path, None)
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
