"""Plan: lanes of steps, stage after stage, with an order that holds; it refuses to exist otherwise."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, get_args

from mcloud.errors import PlanError
from mcloud.offers import JoinToken, Offer
from mcloud.steps import Step

Stage = Literal["found", "enter", "configure", "adapt", "close"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A place in a lane that opens when something comes from outside: a message, a token, a joiner's end."""

    name: str
    offers: tuple[type[Offer], ...] = ()
    needs: tuple[type[Offer], ...] = ()
    wants: tuple[type[Offer], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What one plugin does in one stage on one machine about one node; its steps run in their order."""

    stage: Stage
    hook: str
    plugin: str
    machine: str
    about: str
    steps: tuple[Step | Gate, ...]

    @property
    def key(self) -> str:
        """Return hook/plugin/machine/about; with a step's name behind it, that step's key."""
        return f"{self.hook}/{self.plugin}/{self.machine}/{self.about}"

    def step_keys(self) -> tuple[str, ...]:
        """Return the keys of its steps, in order."""
        return tuple(f"{self.key}/{step.name}" for step in self.steps)


@dataclass(frozen=True)
class Plan:
    """All that one machine will do. Making one raises PlanError if its order cannot hold."""

    machine: str
    lanes: tuple[Lane, ...]
    returning: int = 0
    """With which return of machines that fell out this one comes back into the cloud; 0: it does not.
    Tokens are made anew for it then, and steps that need them run again, whatever is there already."""

    @property
    def longest(self) -> float:
        """Seconds that the one of its steps may take which may take longest, not stretched."""
        steps = (step for lane in self.lanes for step in lane.steps)
        return max((step.seconds for step in steps if isinstance(step, Step)), default=0.0)

    def last_needing(self, kind: type[Offer]) -> Mapping[str, str]:
        """Return by plugin the name of the last of its steps that needs this kind."""
        steps = ((lane, step) for lane in self.lanes for step in lane.steps)
        return {
            lane.plugin: step.name for lane, step in steps if isinstance(step, Step) and kind in step.needs
        }

    def __post_init__(self) -> None:
        self._refuse_doubles()
        self._refuse_unseen()
        self._refuse_unknown_makers()
        for stage in STAGES:
            try:
                TopologicalSorter(self.graph(stage)).prepare()
            except CycleError as error:
                cycle = " -> ".join(error.args[1])
                raise PlanError(
                    f"these steps wait for each other: {cycle}",
                    hint="one of them must not want what another offers; this is for the plugins' authors",
                ) from None

    @cached_property
    def steps(self) -> Mapping[str, tuple[Lane, Step | Gate]]:
        """Each step by its key."""
        return {
            key: (lane, step)
            for lane in self.lanes
            for key, step in zip(lane.step_keys(), lane.steps, strict=True)
        }

    def stage(self, stage: Stage) -> Iterator[Lane]:
        """Yield the lanes of one stage."""
        return (lane for lane in self.lanes if lane.stage == stage)

    def makers(self, kind: type[Offer], lane: Lane) -> tuple[str, ...]:
        """Return the keys of the steps whose offers of this kind `lane` may see.

        They are made in the same stage or before. Tokens are seen in their own lane only.
        """
        until = STAGES.index(lane.stage)
        return tuple(
            key
            for key, (other, step) in self.steps.items()
            if kind in step.offers
            and STAGES.index(other.stage) <= until
            and (other.key == lane.key or kind is not JoinToken)
        )

    def graph(self, stage: Stage) -> dict[str, set[str]]:
        """Return for each step of a stage the steps of the same stage it waits for."""
        here = {key for lane in self.stage(stage) for key in lane.step_keys()}
        graph: dict[str, set[str]] = {}
        for lane in self.stage(stage):
            before: set[str] = set()
            for key, step in zip(lane.step_keys(), lane.steps, strict=True):
                wanted = {maker for kind in (*step.needs, *step.wants) for maker in self.makers(kind, lane)}
                graph[key] = before | (wanted & here)
                before = {key}
        return graph

    def destroys(self) -> tuple[str, ...]:
        """Return all that running it loses for good, in words."""
        return tuple(
            loss
            for lane in self.lanes
            for step in lane.steps
            if isinstance(step, Step)
            for loss in step.destroys
        )

    def digest(self, inputs: str, roster: Sequence[tuple[str, str]]) -> str:
        """Return the SHA-256, hex, of what a person confirms.

        Canonical JSON of the inputs' digest, the roster with roles, and each step's key, needs,
        wants, offers and destroys. No figures of a survey and no probe results are in it.
        """
        said: dict[str, Any] = {
            "inputs": inputs,
            "roster": [list(pair) for pair in roster],
            "machine": self.machine,
            "steps": [_describe(lane.stage, key, step) for key, (lane, step) in self.steps.items()],
        }
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _refuse_doubles(self) -> None:
        seen: set[str] = set()
        for lane in self.lanes:
            for key in lane.step_keys():
                if key in seen:
                    raise PlanError(
                        f"two steps are called {key}", hint="a step's name is unique inside its lane"
                    )
                seen.add(key)

    def _refuse_unseen(self) -> None:
        """Refuse steps that nobody could verify, and offers that would be written down and must not be."""
        for key, (_lane, step) in self.steps.items():
            if isinstance(step, Step) and (step.probe is None) != step.volatile:
                raise PlanError(
                    f"{key} has no probe, and what it offers is not volatile"
                    if step.probe is None
                    else f"{key} has a probe, but what it offers must never be written down",
                    hint="a step has a probe, or only volatile offers; this is for the plugin's author",
                )
            if isinstance(step, Step) and not step.volatile and any(kind.volatile for kind in step.offers):
                raise PlanError(
                    f"{key} offers volatile kinds beside others",
                    hint="make two steps of it; this is for the plugin's author",
                )

    def _refuse_unknown_makers(self) -> None:
        missing = [
            f"{key} needs {kind.__name__}"
            for key, (lane, step) in self.steps.items()
            for kind in step.needs
            if not self.makers(kind, lane)
        ]
        if missing:
            raise PlanError(
                f"nothing offers what is needed: {'; '.join(missing)}",
                hint="switch on a service that offers it, or leave out the one that needs it",
            )


def refuse_more_losses(plan: Plan, *, confirmed: Plan) -> None:
    """Raise PlanError if a plan for a smaller roster destroys anything that nobody confirmed."""
    if more := set(plan.destroys()) - set(confirmed.destroys()):
        raise PlanError(f"the smaller roster would destroy what nobody confirmed: {'; '.join(sorted(more))}")


def _describe(stage: Stage, key: str, step: Step | Gate) -> dict[str, Any]:
    return {
        "stage": stage,
        "key": key,
        "needs": sorted(kind.__name__ for kind in step.needs),
        "wants": sorted(kind.__name__ for kind in step.wants),
        "offers": sorted(kind.__name__ for kind in step.offers),
        "destroys": list(step.destroys) if isinstance(step, Step) else [],
    }
