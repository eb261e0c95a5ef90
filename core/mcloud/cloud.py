"""What each command does, as lists of stages: the screen to read aloud.

The founder's `init`                      a joiner's `join`
  found      bootstrap                    -
  enter      join, issue_token, admit     join (each token through a gate)
  configure  configure                    -
  adapt      adapt, follow                adapt
  close      record                       record
"""

from collections.abc import Callable, Sequence
from typing import Any

from mcloud.inputs import Inputs
from mcloud.model import Node
from mcloud.offers import JoinToken
from mcloud.plan import Gate, Lane, Plan, Stage
from mcloud.plugins import Plugins
from mcloud.steps import Step

Hook = Callable[..., tuple[Step, ...]]

CORE = "core"
READY = "ready"
TOKEN = "token"  # noqa: S105 - the name of a gate
JOINED = "joined"
ADAPTED = "adapted"


def founder_plan(plugins: Plugins, inputs: Inputs, record: Step) -> Plan:
    """Return the founder's plan of `init`. Raises PlanError, PluginError."""
    me = inputs.founder
    return Plan(
        me.name,
        (
            *_lanes(plugins, inputs, "found", "bootstrap", me),
            *_lanes(plugins, inputs, "enter", "join", me),
            *(lane for joiner in inputs.joiners for lane in _token_lanes(plugins, inputs, joiner)),
            *(_follow(me, joiner, "enter", "admit", JOINED) for joiner in inputs.joiners),
            *_lanes(plugins, inputs, "configure", "configure", me),
            *_lanes(plugins, inputs, "adapt", "adapt", me),
            *(_follow(me, joiner, "adapt", "follow", ADAPTED) for joiner in inputs.joiners),
            _record_lane(me, record),
        ),
    )


def joiner_plan(plugins: Plugins, inputs: Inputs, name: str, record: Step) -> Plan:
    """Return a joiner's plan of `join`. Raises PlanError, PluginError, KeyError for an unknown machine."""
    me = inputs.node(name)
    if me is None:
        raise KeyError(name)
    return Plan(
        name,
        (
            *(_with_token_gate(lane) for lane in _lanes(plugins, inputs, "enter", "join", me)),
            *_lanes(plugins, inputs, "adapt", "adapt", me),
            _record_lane(me, record),
        ),
        returning=inputs.back if inputs.returns(name) else 0,
    )


def plan_for(plugins: Plugins, inputs: Inputs, name: str, record: Step) -> Plan:
    """Return the plan of any machine of the roster."""
    if name == inputs.founder.name:
        return founder_plan(plugins, inputs, record)
    return joiner_plan(plugins, inputs, name, record)


def plan_digest(plan: Plan, inputs: Inputs) -> str:
    """Return what a person confirms of a plan, as a digest; the same wherever the plan is made."""
    roster = [(node.name, "founder" if node.founder else "joiner") for node in inputs.nodes]
    return plan.digest(inputs.digest, roster)


def gate_key(hook: str, plugin: str, machine: str, about: str, gate: str) -> str:
    """Return the key of a gate."""
    return f"{hook}/{plugin}/{machine}/{about}/{gate}"


def _lanes(plugins: Plugins, inputs: Inputs, stage: Stage, hook: str, about: Node) -> Sequence[Lane]:
    """Return one lane for each service whose plugin has steps in this hook."""
    machine = about.name if hook != "issue_token" else inputs.founder.name
    lanes = []
    for plugin in sorted(inputs.services):
        asked: dict[str, Any] = inputs.asked(plugin, plugins.manifests[plugin], about)
        call: Hook = getattr(plugins, hook)
        if steps := call(plugin, **asked):
            lanes.append(
                Lane(stage=stage, hook=hook, plugin=plugin, machine=machine, about=about.name, steps=steps)
            )
    return lanes


def _token_lanes(plugins: Plugins, inputs: Inputs, joiner: Node) -> Sequence[Lane]:
    """Return the joiner's issue_token lanes; each waits until the joiner asks."""
    return [
        _put_before(lane, 0, Gate(name=READY))
        for lane in _lanes(plugins, inputs, "enter", "issue_token", joiner)
    ]


def _with_token_gate(lane: Lane) -> Lane:
    """Return a join lane that waits for its token before the first step that needs it."""
    for place, step in enumerate(lane.steps):
        if JoinToken in step.needs:
            return _put_before(lane, place, Gate(name=TOKEN, offers=(JoinToken,)))
    return lane


def _put_before(lane: Lane, place: int, gate: Gate) -> Lane:
    return Lane(
        stage=lane.stage,
        hook=lane.hook,
        plugin=lane.plugin,
        machine=lane.machine,
        about=lane.about,
        steps=(*lane.steps[:place], gate, *lane.steps[place:]),
    )


def _follow(me: Node, joiner: Node, stage: Stage, hook: str, gate: str) -> Lane:
    return Lane(
        stage=stage, hook=hook, plugin=CORE, machine=me.name, about=joiner.name, steps=(Gate(name=gate),)
    )


def _record_lane(me: Node, record: Step) -> Lane:
    return Lane(stage="close", hook="close", plugin=CORE, machine=me.name, about=me.name, steps=(record,))
