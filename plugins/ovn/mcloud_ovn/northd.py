"""Steps for northd, which turns networks into flows; one is active in the cloud, the others stand by."""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from mcloud import Host, Node, Offer, ServiceError, Step, StepContext, wait_with_units
from mcloud_ovn.client import DATABASES, PATIENCE, SB, SECONDS, own_limit, systemctl
from mcloud_ovn.files import NORTHD_PARAMETERS
from mcloud_ovn.roles import remotes

CENTRAL = "ovn-central.service"
NORTHD = "ovn-northd.service"


def northd_parameters(servers: Sequence[Node]) -> str:
    """Return ovn-northd-db-params.conf: all servers that northd may find the databases' leaders on."""
    return " ".join(f"--ovn{database.short}-db={remotes(servers, database)}" for database in DATABASES) + "\n"


def first_northd(founder: Node) -> Step:
    """Run the first northd, and see that it works: it writes the southbound database's one global row.

    No controller may come before that: ovn-controller of 23.03 wants a database that northd has filled,
    and systemd gives up on one that ended several times in a row.
    """
    return Step(
        name="northd",
        run=partial(_start_first, northd_parameters([founder])),
        probe=_works,
        undo=_stop,
    )


def standby_northd(servers: Sequence[Node]) -> Step:
    """Run a northd beside the first one: it stands by, and may learn of all servers at once."""
    return Step(name="northd", run=partial(_start, northd_parameters(servers)), probe=_runs, undo=_stop)


def restart_northd(host: Host) -> None:
    """Start northd anew, with the parameters that are in its file now."""
    systemctl(host, "reset-failed", CENTRAL, NORTHD, check=False)
    systemctl(host, "start", CENTRAL)
    systemctl(host, "restart", NORTHD)


def northd_command(host: Host) -> Sequence[str]:
    """Return what northd was started with; empty if it does not run.

    Whether it is connected tells nothing: one that stands by goes from server to server until it
    meets a leader.
    """
    shown = host.run(["systemctl", "show", "--property=MainPID", "--value", NORTHD], seconds=10)
    return (host.read(f"/proc/{shown.stdout.strip()}/cmdline") or "").split("\0")


def _start(parameters: str, ctx: StepContext) -> None:
    ctx.keep_file(NORTHD_PARAMETERS)
    ctx.host.write(NORTHD_PARAMETERS, parameters)
    restart_northd(ctx.host)


def _start_first(parameters: str, ctx: StepContext) -> None:
    _start(parameters, ctx)
    wait_with_units(
        ctx,
        lambda: _works(ctx),
        units=(NORTHD,),
        what=f"northd to fill the database {SB.schema}",
        patience=PATIENCE,
    )


def _runs(ctx: StepContext) -> Sequence[Offer] | None:
    # With some servers of ours; all of them are seen to in `adapt`.
    return () if any(word.startswith("--ovnnb-db=ssl:") for word in northd_command(ctx.host)) else None


def _works(ctx: StepContext) -> Sequence[Offer] | None:
    with suppress(ServiceError):
        return _runs(ctx) if _has_global_row(ctx.host) else None
    return None


def _has_global_row(host: Host) -> bool:
    # Not by `ovn-sbctl`: whatever that is asked, it makes the row itself where there is none.
    question = {"op": "select", "table": "SB_Global", "where": [], "columns": ["nb_cfg"]}
    how = [f"--timeout={own_limit(host)}", "--no-leader-only", "query", SB.socket]
    asked = ["ovsdb-client", *how, json.dumps([SB.schema, question])]
    (answer,) = json.loads(host.run(asked, seconds=SECONDS + 2).stdout)
    return bool(answer.get("rows"))


def _stop(ctx: StepContext) -> None:
    systemctl(ctx.host, "stop", NORTHD)
    ctx.restore_file(NORTHD_PARAMETERS)
