"""Steps that fit a machine's OVN to the roster as it now is."""

from collections.abc import Iterator, Sequence
from functools import partial

from mcloud import Node, Offer, Step, StepContext
from mcloud_ovn.chassis import REMOTE
from mcloud_ovn.client import DATABASES, SB, active, external_ids, set_external_ids, systemctl
from mcloud_ovn.databases import NORTHD, UNITS, central_options, northd_reached, stop_databases
from mcloud_ovn.files import CENTRAL_DEFAULTS
from mcloud_ovn.kept import keep, keep_file, kept, restore_file
from mcloud_ovn.roles import first_peer, is_server, remotes, servers


def fit(node: Node, nodes: Sequence[Node]) -> Iterator[Step]:
    """Yield what a machine has to change when servers came or went."""
    if is_server(node, nodes):
        options = central_options(node, peer=first_peer(node, nodes), northd=servers(nodes))
        yield Step(
            name="servers",
            run=partial(_write_options, options),
            probe=partial(_has_options, options, remotes(servers(nodes), SB)),
            undo=_restore_options,
        )
    else:
        yield Step(name="no-databases", run=_stop, probe=_stopped, undo=_start_again)
    remote = remotes(servers(nodes), SB)
    yield Step(
        name="remote",
        run=partial(_set_remote, remote),
        probe=partial(_has_remote, remote),
        undo=_restore_remote,
    )


def _write_options(options: str, ctx: StepContext) -> None:
    keep_file(ctx, CENTRAL_DEFAULTS)
    ctx.host.write(CENTRAL_DEFAULTS, options)
    # The databases read these only when they are made; northd has to learn of the servers.
    systemctl(ctx.host, "restart", NORTHD)
    ctx.wait(lambda: northd_reached(ctx.host) or None, what="northd to reach both databases")


def _has_options(options: str, remote: str, ctx: StepContext) -> Sequence[Offer] | None:
    if ctx.host.read(CENTRAL_DEFAULTS) != options:
        return None
    shown = ctx.host.run(["systemctl", "show", "--property=MainPID", "--value", NORTHD]).stdout.strip()
    command = ctx.host.read(f"/proc/{shown}/cmdline") or ""
    return () if f"--ovnsb-db={remote}" in command.split("\0") and northd_reached(ctx.host) else None


def _restore_options(ctx: StepContext) -> None:
    restore_file(ctx, CENTRAL_DEFAULTS)


def _set_remote(remote: str, ctx: StepContext) -> None:
    keep(ctx, REMOTE, external_ids(ctx.host).get(REMOTE))
    set_external_ids(ctx.host, {REMOTE: remote})


def _has_remote(remote: str, ctx: StepContext) -> Sequence[Offer] | None:
    return () if external_ids(ctx.host).get(REMOTE) == remote else None


def _restore_remote(ctx: StepContext) -> None:
    if ctx.kept(REMOTE) is not None:
        set_external_ids(ctx.host, {REMOTE: kept(ctx, REMOTE)})


def _stop(ctx: StepContext) -> None:
    keep(ctx, "active", active(ctx.host, UNITS))
    keep_file(ctx, CENTRAL_DEFAULTS)
    stop_databases(ctx)
    systemctl(ctx.host, "disable", UNITS[0])


def _stopped(ctx: StepContext) -> Sequence[Offer] | None:
    if any(ctx.host.stat(database.file) for database in DATABASES) or active(ctx.host, UNITS):
        return None
    return ()


def _start_again(ctx: StepContext) -> None:
    before = kept(ctx, "active")
    if before is None:
        return
    restore_file(ctx, CENTRAL_DEFAULTS)
    systemctl(ctx.host, "enable", UNITS[0])
    if before:
        systemctl(ctx.host, "start", *before)
