"""Steps that fit a machine's OVN to the roster as it now is."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from mcloud import Node, Offer, Step, StepContext
from mcloud_ovn.chassis import REMOTE
from mcloud_ovn.client import DATABASES, SB, active, external_ids, set_external_ids, systemctl
from mcloud_ovn.databases import (
    DROP_INS,
    UNITS,
    central_options,
    serve,
    stop_databases,
)
from mcloud_ovn.files import CENTRAL_DEFAULTS, NORTHD_PARAMETERS
from mcloud_ovn.kept import keep, kept
from mcloud_ovn.northd import northd_command, northd_parameters, restart_northd
from mcloud_ovn.roles import first_peer, is_server, remotes, servers


def fit(node: Node, nodes: Sequence[Node]) -> Iterator[Step]:
    """Yield what a machine has to change when servers came or went."""
    if is_server(node, nodes):
        files = {
            CENTRAL_DEFAULTS: central_options(node, peer=first_peer(node, nodes)),
            NORTHD_PARAMETERS: northd_parameters(servers(nodes)),
        }
        # There already, unless those before this machine in the roster are gone.
        yield serve(node, peer=first_peer(node, nodes))
        yield Step(
            name="servers",
            run=partial(_write_files, files),
            probe=partial(_has_files, files),
            undo=partial(_restore_files, files),
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


def find_leaders(nodes: Sequence[Node]) -> Step:
    """Let the seat's northd find the databases' leaders wherever they are by now.

    It was started when this was the only server. Each database elects for itself: with one leader here
    and the other elsewhere this northd would hold its lock for ever, and do nothing.
    """
    files = {NORTHD_PARAMETERS: northd_parameters(servers(nodes))}
    return Step(
        name="northd",
        run=partial(_write_files, files),
        probe=partial(_has_files, files),
        undo=partial(_restore_files, files),
    )


def _write_files(files: Mapping[str, str], ctx: StepContext) -> None:
    for path, content in files.items():
        ctx.keep_file(path)
        ctx.host.write(path, content)
    # The databases read theirs only when they are made; northd has to learn of the servers.
    if not _northd_knows(files, ctx):
        restart_northd(ctx.host)


def _has_files(files: Mapping[str, str], ctx: StepContext) -> Sequence[Offer] | None:
    if any(ctx.host.read(path) != content for path, content in files.items()):
        return None
    return () if _northd_knows(files, ctx) else None


def _northd_knows(files: Mapping[str, str], ctx: StepContext) -> bool:
    return set(files[NORTHD_PARAMETERS].split()) <= set(northd_command(ctx.host))


def _restore_files(files: Mapping[str, str], ctx: StepContext) -> None:
    for path in files:
        ctx.restore_file(path)


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
    for path in (CENTRAL_DEFAULTS, *DROP_INS):
        ctx.keep_file(path)
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
    for path in (CENTRAL_DEFAULTS, *DROP_INS):
        ctx.restore_file(path)
    systemctl(ctx.host, "enable", UNITS[0])
    if before:
        systemctl(ctx.host, "start", *before)
