"""Make this machine ready to join, whatever state it is in: alone, offline, without any journal.

Looks first (`survey`), then carries out. It is a run backwards: who wants something goes before who
offers it, the core's own state last.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Lock
from typing import Literal

from mcloud.context import Surroundings
from mcloud.crew import GLANCE, Crew
from mcloud.errors import McloudError, words
from mcloud.host import Host
from mcloud.journal import Journal
from mcloud.model import Node
from mcloud.plan import Lane, Plan
from mcloud.plugins import Plugins
from mcloud.preview import called, look
from mcloud.remains import Remains
from mcloud.run import WORKERS
from mcloud.secrets import Secrets
from mcloud.steps import Step
from mcloud.watch import Watch, nobody, of_step

Disks = Literal["keep", "wipe"]
"""What becomes of what is on the services' disks."""

BEGUN = "/run/mcloud"
"""Folder with a file for each step that has begun and not ended; gone with a reboot, as what was stopped."""

AGAIN = "type `mcloud reset` again; if it stays, look at the service's own log, or remove it by hand"

HOOK = "reset"
CORE = "core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one step of a reset sees on this machine."""

    key: str
    lane: Lane
    step: Step
    to_do: bool
    lines: tuple[str, ...]
    """What is there, in words: what will go if it is to do, else what stays."""

    @property
    def losses(self) -> tuple[str, ...]:
        """What carrying it out loses for good."""
        return self.step.destroys if self.to_do else ()


@dataclass(frozen=True, slots=True)
class Left:
    """What could not be removed, why, and what a person can do."""

    key: str
    reason: str
    hint: str = ""


class _InMemory(Journal):
    """The journal of a run that keeps nothing: a reset has to work on a disk that is full or broken."""

    lasting = False

    def __init__(self) -> None:
        super().__init__(Path("/dev/null"), (), Secrets())

    def _append(self, line: bytes) -> None:
        pass


def reset_plan(plugins: Plugins, node: Node, remains: Remains, *, disks: Disks, own: Step) -> Plan:
    """Return the lanes of all plugins that can reset their service, and the core's own last step."""
    lanes = []
    for name in plugins.having(HOOK):
        manifest = plugins.manifests[name]
        steps = plugins.reset(
            name,
            node=node,
            settings=remains.of(name, manifest.settings),
            node_settings=remains.of_machines(name, manifest.node_settings),
            disks=disks,
        )
        lanes.append(_lane(node, name, steps))
    return Plan(node.name, (*lanes, _lane(node, CORE, (own,))))


def without_reset(plugins: Plugins, remains: Remains) -> Mapping[str, str]:
    """Return the services that nobody resets here, with the reason."""
    able = plugins.having(HOOK)
    unable = {name: "its plugin has no `reset`" for name in plugins.services if name not in able}
    broken = {name: f"its plugin is broken: {one.reason}" for name, one in plugins.broken.items()}
    gone = dict.fromkeys(remains.services - set(plugins.manifests), "its plugin is not installed")
    return {**gone, **broken, **unable}


class Reset:
    """One reset of one machine: `look` as often as wanted, `carry_out` once."""

    def __init__(self, host: Host, plan: Plan) -> None:
        """Take the machine and the plan; nothing is looked at yet."""
        self._around = Surroundings(host=host, plan=plan, journal=_InMemory())
        self._lock = Lock()
        self._said: dict[str, list[str]] = {}
        self._around.report = self._note

    def look(self) -> tuple[Found, ...]:
        """Return what each step sees, side by side; changes nothing."""
        steps = [
            (key, lane, step)
            for key, (lane, step) in self._around.plan.steps.items()
            if isinstance(step, Step)
        ]
        return tuple(Crew(WORKERS, "look").map(lambda one: self._see(*one), steps))

    def unseen(self, shown: Sequence[Found]) -> tuple[str, ...]:
        """Look once more; return what would be lost now and was not there when it was shown.

        A person may take an hour for a yes, and put another disk in meanwhile.
        """
        known = {line for one in shown for line in one.lines}
        return tuple(line for one in self.look() if one.losses for line in one.lines if line not in known)

    def carry_out(self, found: Sequence[Found], *, watch: Watch = nobody) -> tuple[Left, ...]:
        """Do what is to do, side by side where nobody waits; return what is still there then."""
        to_do = {one.key: one for one in found if one.to_do}
        sorter = TopologicalSorter(order(self._around.plan))
        sorter.prepare()
        left: list[Left] = []
        running: dict[Future[Left | None], str] = {}
        crew = Crew(WORKERS, HOOK)
        while sorter.is_active():
            for key in sorter.get_ready():
                if key in to_do:
                    running[crew.submit(lambda key=key: self._do(to_do[key], watch))] = key  # type: ignore[misc]
                else:
                    sorter.done(key)
            if running:
                for ended in wait(running, timeout=GLANCE, return_when=FIRST_COMPLETED).done:
                    sorter.done(running.pop(ended))
                    left += [one] if (one := ended.result()) else []
        return tuple(left)

    def _see(self, key: str, lane: Lane, step: Step) -> Found:
        with self._lock:
            self._said[key] = []
        try:
            seen = look(self._around, lane, step)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; what cannot be seen is to do
            seen = None
            self._note(key, f"could not be looked at: {words(error)}")
        if self._began(lane, step):
            seen = None
            self._note(key, f"{step.name}, which an earlier reset has begun")
        with self._lock:
            lines = tuple(self._said[key])
        return Found(key=key, lane=lane, step=step, to_do=seen is None, lines=lines)

    def _do(self, found: Found, watch: Watch) -> Left | None:
        """Carry out one step and look again; return what is left if it is not clean then."""
        lane, step = found.lane, found.step
        began = time.monotonic()
        watch(of_step(lane, step, "started"))
        self._mark(lane, step, begun=True)
        try:
            called(self._around, lane, step, doing="run", part=step.run)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and the others must go on
            watch(of_step(lane, step, "left", text=words(error)))
            return Left(found.key, words(error), getattr(error, "hint", "") or AGAIN)
        self._mark(lane, step, begun=False)
        after = self._see(found.key, lane, step)
        if after.to_do:
            reason = "; ".join(after.lines) or "it can still be seen"
            watch(of_step(lane, step, "left", text=reason))
            return Left(found.key, reason, AGAIN)
        watch(of_step(lane, step, "done", seconds=time.monotonic() - began))
        return None

    def _began(self, lane: Lane, step: Step) -> bool:
        with suppress(McloudError):
            return self._around.host.stat(_mark(lane, step)) is not None
        return False

    def _mark(self, lane: Lane, step: Step, *, begun: bool) -> None:
        with suppress(McloudError):
            self._around.host.write(_mark(lane, step), "" if begun else None)

    def _note(self, key: str, text: str) -> None:
        with self._lock:
            self._said.setdefault(key, []).append(text)


def order(plan: Plan) -> dict[str, set[str]]:
    """Return for each step those it waits for: all that want what it offers; the core's waits for all."""
    graph: dict[str, set[str]] = {}
    for lane in plan.lanes:
        others = {key for other in plan.lanes if other is not lane for key in other.step_keys()}
        before = set(others) if lane.plugin == CORE else set[str]()
        for key, step in zip(lane.step_keys(), lane.steps, strict=True):
            wanting = {other for other in others if {*step.offers} & {*plan.steps[other][1].wants}}
            graph[key] = before | wanting
            before = {key}
    return graph


def _lane(node: Node, plugin: str, steps: tuple[Step, ...]) -> Lane:
    return Lane(
        stage="close", hook=HOOK, plugin=plugin, machine=node.name, about=node.name, steps=tuple(steps)
    )


def _mark(lane: Lane, step: Step) -> str:
    return f"{BEGUN}/reset-{lane.plugin}-{step.name}"
