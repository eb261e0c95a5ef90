"""Wait until the cluster is sound, or say exactly why it is not."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcloud import ServiceError, Step, StepContext
from mcloud_ceph import client

PATIENCE = 90
"""Seconds without any progress."""

PATIENCE_WITH_WARNINGS = 15
"""Seconds for warnings of Ceph to go away by themselves, once all data is where it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a cluster is like: `missing` must become nothing, `warnings` should."""

    missing: tuple[str, ...]
    warnings: Mapping[str, str]
    progress: object = None


def sound(*, copies: int) -> Step:
    """Return the step that waits until all is up, clean and HEALTH_OK."""
    # One copy is a warning for good, told before the start and shown again here: it is not silenced.
    bearable = {"POOL_NO_REDUNDANCY"} if copies == 1 else set[str]()

    def run(ctx: StepContext) -> None:
        _wait(ctx, bearable)

    def probe(ctx: StepContext) -> tuple[()] | None:
        return None if look(ctx).missing else ()

    return Step(name="health", run=run, probe=probe)


def look(ctx: StepContext) -> Condition:
    """Ask for the state of monitors, OSDs, placement groups and Ceph's own checks."""
    status, osds = client.ask(ctx.host, ["status"], ["osd", "dump"])
    return condition(status, osds)


def condition(status: Mapping[str, Any], osds: Mapping[str, Any]) -> Condition:
    """Judge by `status` and `osd dump`; HEALTH_OK alone is also said of groups nobody has heard of."""
    groups, up = status["pgmap"], [osd["osd"] for osd in osds["osds"] if osd["up"] and osd["in"]]
    down = [f"osd.{osd['osd']}" for osd in osds["osds"] if not (osd["up"] and osd["in"])]
    expected = sum(pool["pg_num"] for pool in osds["pools"])
    clean = sum(state["count"] for state in groups["pgs_by_state"] if state["state_name"] == "active+clean")
    others = ", ".join(
        f"{state['count']} {state['state_name']}"
        for state in groups["pgs_by_state"]
        if state["state_name"] != "active+clean"
    )
    absent = status["monmap"]["num_mons"] - len(status["quorum_names"])
    missing = [
        *([f"{absent} of {status['monmap']['num_mons']} monitors are not in the quorum"] if absent else []),
        *([] if status["mgrmap"]["available"] else ["no manager is active yet"]),
        *([f"not up and in: {', '.join(down)}"] if down else []),
        *([] if up else ["no OSD is up"]),
        *(
            [f"{clean} of {expected} placement groups are active+clean" + (f" ({others})" if others else "")]
            if clean != expected
            else []
        ),
        *([] if status["health"]["status"] != "HEALTH_ERR" else ["HEALTH_ERR"]),
    ]
    checks = status["health"]["checks"]
    return Condition(
        missing=tuple(missing),
        warnings={code: str(check["summary"]["message"]) for code, check in checks.items()},
        progress=(absent, len(up), clean, others, sorted(checks), status["mgrmap"]["available"]),
    )


def _wait(ctx: StepContext, bearable: set[str]) -> None:
    last = [Condition(missing=("nobody looked",), warnings={})]

    def look_again() -> Condition:
        last[0] = look(ctx)
        ctx.report("; ".join(_words(last[0])) or "HEALTH_OK, all placement groups active+clean, all OSDs up")
        return last[0]

    try:
        ctx.wait(
            lambda: None if look_again().missing else True,
            what="all of Ceph to be up and clean",
            patience=PATIENCE,
            progress=lambda: last[0].progress,
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
                progress=lambda: last[0].progress,
            )


def _words(state: Condition) -> Sequence[str]:
    return [*state.missing, *(f"{code}: {text}" for code, text in state.warnings.items())]
