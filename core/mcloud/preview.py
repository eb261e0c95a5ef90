"""Looking only: one step's probe, and what a whole plan would do; and how any part of a step is called."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Literal, TypeVar

from mcloud.calls import within
from mcloud.context import Context, Surroundings
from mcloud.deadlines import LOOKING
from mcloud.errors import McloudError, PluginError, ServiceError
from mcloud.offers import JoinToken, Offer
from mcloud.plan import STAGES, Lane, Stage
from mcloud.steps import Step
from mcloud.tenure import Tenure

T = TypeVar("T")


def called(
    around: Surroundings,
    lane: Lane,
    step: Step,
    *,
    doing: Literal["probe", "run", "undo"],
    part: Callable[[Context], T],
) -> T:
    """Call one part of a step and return what it returns. Raises Overdue if it does not come back in time."""
    about = f" for {lane.about}" if lane.about != lane.machine else ""
    tenure = Tenure(
        f"{lane.machine}: {lane.plugin} {step.name}{about} ({doing} in {lane.hook})",
        plugin=lane.plugin,
        seconds=LOOKING if doing == "probe" else step.seconds,
        stretch=around.host.stretch,
    )
    ctx = Context(around, lane, step, doing=doing, tenure=tenure)
    return within(lambda: part(ctx), tenure, stopping=around.stopping)


def look(around: Surroundings, lane: Lane, step: Step) -> tuple[Offer, ...] | None:
    """Probe one step; return what it offers, or None if it is not there."""
    probe = step.probe
    assert probe is not None  # noqa: S101 - asked of steps with a probe only

    def part(ctx: Context) -> tuple[Offer, ...] | None:
        seen = probe(ctx)
        return None if seen is None else tuple(seen)

    offers = called(around, lane, step, doing="probe", part=part)
    if offers is not None:
        check_declared(f"{lane.key}/{step.name}", lane, step, offers)
    return offers


def revoked(around: Surroundings, key: str, step: Step) -> bool:
    """Whether what a step made may have been revoked, so that its own probe is no sign that it is done.

    The others took away what was left of a machine that fell out. Where it comes back, each step that needs a
    token runs again with a new one; once it has, its probe counts as ever.
    """
    back = around.plan.returning
    return back > 0 and JoinToken in step.needs and not around.journal.done_since(key, back)


def look_again(around: Surroundings, lane: Lane, step: Step) -> tuple[Offer, ...] | None:
    """Look at what was done already: that its service is busy with others just now is no answer."""
    looking = Context(around, lane, step, doing="probe")
    (seen,) = looking.wait(
        lambda: (look(around, lane, step),), what="its state", patience=around.host.settling
    )
    return seen


def verified(around: Surroundings, lane: Lane, step: Step) -> tuple[Offer, ...]:
    """Return what a step offers that has just run; ServiceError if it cannot be seen, or not for long."""
    looking = Context(around, lane, step, doing="probe")
    try:
        return looking.wait(
            lambda: look(around, lane, step), what="its result", patience=around.host.settling
        )
    except ServiceError as error:
        if around.stopping.is_set():
            raise
        raise ServiceError(
            f"{looking.key} ended without an error, but what it should have made cannot be seen ({error})",
            hint=error.hint,
        ) from error


def preview(around: Surroundings) -> Mapping[str, bool]:
    """Return for each step whether it is to do. Probes only; changes nothing.

    A step that wants what another step has still to make is not probed (it would say "nothing to
    do"), nor is one whose plugin has an earlier step to do (its service is not there to be asked):
    both count as to do, as do tokens and a probe that fails.
    """
    plan, to_do, behind = around.plan, dict[str, bool](), set[str]()
    stages: list[Stage] = [stage for stage in STAGES if any(plan.stage(stage))]
    for key in (key for stage in stages for key in TopologicalSorter(plan.graph(stage)).static_order()):
        lane, step = plan.steps[key]
        makers = {maker for kind in (*step.needs, *step.wants) for maker in plan.makers(kind, lane)}
        seen = None
        if (
            isinstance(step, Step)
            and step.probe
            and not revoked(around, key, step)
            and lane.plugin not in behind
            and not any(to_do[m] for m in makers)
        ):
            with contextlib.suppress(McloudError):
                seen = look(around, lane, step)
        to_do[key] = seen is None
        around.board.put(key, seen or ())
        if seen is None:
            behind.add(lane.plugin)
    return to_do


def check_declared(key: str, lane: Lane, step: Step, offers: Sequence[Offer]) -> None:
    """Refuse (PluginError) offers of kinds that the step does not name in `offers`."""
    strange = sorted({type(offer).__name__ for offer in offers if type(offer) not in step.offers})
    if strange:
        raise PluginError(
            f"{key} offers {', '.join(strange)}, which it did not declare",
            plugin=lane.plugin,
            hint="name every kind in the step's `offers`; this is for the plugin's author",
        )


def refuse_returned(key: str, lane: Lane, returned: object) -> None:
    """Refuse (PluginError) what the run of a step returned that has a probe."""
    if returned is not None:
        raise PluginError(
            f"{key}: run returned something, but what it offers is what its probe sees",
            plugin=lane.plugin,
            hint="return None, and no generator; this is for the plugin's author",
        )
