"""Wait until the cluster is sound, or say exactly why it is not."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcloud import Node, ServiceError, Step, StepContext
from mcloud_ceph import client
from mcloud_ceph.conffile import fsid_here
from mcloud_ceph.layout import osds_of
from mcloud_ceph.settings import CephNode
from mcloud_ceph.timing import FORMING

PATIENCE = 90
"""Seconds without any progress."""

PATIENCE_WITH_WARNINGS = 15
"""Seconds for warnings of Ceph to go away by themselves, once all data is where it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a cluster is like: `missing` must become nothing, `warnings` should."""

    missing: tuple[str, ...]
    warnings: Mapping[str, str]
    reached: int = 0
    """How much is as it should be: it grows while the cluster gets on."""


def sound(copies: int, *, node_settings: Mapping[str, CephNode], fallen: Sequence[Node]) -> Step:
    """Return the step that waits until all is up, clean and HEALTH_OK, and ends the forming.

    All but what machines brought that have fallen out.
    """
    # One copy is a warning for good, told before the start and shown again here: it is not silenced.
    bearable = {"POOL_NO_REDUNDANCY"} if copies == 1 else set[str]()

    def strange(ctx: StepContext) -> Collection[str]:
        return osds_of(fsid_here(ctx.host), fallen, node_settings)

    def run(ctx: StepContext) -> None:
        try:
            _wait(ctx, bearable, strange(ctx))
        except ServiceError:
            with contextlib.suppress(ServiceError):
                client.tell(ctx.host, client.drop_options(FORMING))
            raise
        client.tell(ctx.host, client.drop_options(FORMING))

    def probe(ctx: StepContext) -> tuple[()] | None:
        status, osds, options = client.ask(ctx.host, ["status"], ["osd", "dump"], ["config", "dump"])
        formed = client.options(options).keys().isdisjoint(FORMING)
        return () if formed and not condition(status, osds, strange(ctx)).missing else None

    return Step(name="health", run=run, probe=probe)


def condition(status: Mapping[str, Any], osds: Mapping[str, Any], strange: Collection[str] = ()) -> Condition:
    """Judge a cluster by `status` and `osd dump`; OSDs with ids in `strange` do not count."""
    ours = [osd for osd in osds["osds"] if osd["uuid"] not in strange]
    down = [f"osd.{osd['osd']}" for osd in ours if not (osd["up"] and osd["in"])]
    up = len(ours) - len(down)
    states = {group["state_name"]: group["count"] for group in status["pgmap"]["pgs_by_state"]}
    # Scrubbing is routine: active+clean+scrubbing is clean.
    clean = sum(count for state, count in states.items() if {"active", "clean"} <= set(state.split("+")))
    expected = sum(pool["pg_num"] for pool in osds["pools"])
    others = ", ".join(f"{count} {state}" for state, count in states.items() if "clean" not in state)
    monitors = status["monmap"]["num_mons"]
    absent, managed = monitors - len(status["quorum_names"]), status["mgrmap"]["available"]
    wanting = (
        (absent, f"{absent} of {monitors} monitors are not in the quorum"),
        (not managed, "no manager is active yet"),
        (down, f"not up and in: {', '.join(down)}"),
        (not up, "no OSD is up"),
        (
            clean != expected,
            f"{clean} of {expected} placement groups are active+clean ({others or 'others unknown'})",
        ),
        (status["health"]["status"] == "HEALTH_ERR", "HEALTH_ERR"),
    )
    checks = status["health"]["checks"]
    return Condition(
        missing=tuple(text for wrong, text in wanting if wrong),
        warnings={code: str(check["summary"]["message"]) for code, check in checks.items()},
        reached=len(status["quorum_names"]) + up + bool(managed) + clean,
    )


def _wait(ctx: StepContext, bearable: set[str], strange: Collection[str]) -> None:
    last = [Condition(missing=("nobody looked",), warnings={})]

    def look_again() -> Condition:
        # HEALTH_OK alone is no proof: it is also said of placement groups that nobody has heard of.
        status, osds = client.ask(ctx.host, ["status"], ["osd", "dump"])
        last[0] = condition(status, osds, strange)
        ctx.report("; ".join(_words(last[0])) or "HEALTH_OK, all placement groups active+clean, all OSDs up")
        return last[0]

    try:
        ctx.wait(
            lambda: None if look_again().missing else True,
            what="all of Ceph to be up and clean",
            patience=PATIENCE,
            progress=lambda: last[0].reached,
        )
    except ServiceError as error:
        raise ServiceError(
            f"Ceph is not sound: {'; '.join(_words(last[0])) or error}",
            hint="`ceph health detail` says more; when it is mended, run the same command again",
        ) from error
    # Data is safe from here on: a warning that stays is shown as it is, and no reason to stop.
    with contextlib.suppress(ServiceError):
        if last[0].warnings.keys() - bearable:
            ctx.wait(
                lambda: None if look_again().warnings.keys() - bearable else True,
                what="warnings to go away",
                patience=PATIENCE_WITH_WARNINGS,
                # Of those that were there, fewer than ever: one that comes and goes is no progress.
                progress=lambda: -len(last[0].warnings),
            )


def _words(state: Condition) -> Sequence[str]:
    return [*state.missing, *(f"{code}: {text}" for code, text in state.warnings.items())]
