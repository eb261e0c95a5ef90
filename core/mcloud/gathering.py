"""From those who came to what all plan from: the roster, the checks over it, and the proposal."""

from collections.abc import Sequence
from secrets import token_hex

from mcloud.claims import claimed_twice
from mcloud.errors import McloudError, ProtocolError, SettingsError
from mcloud.inputs import Inputs
from mcloud.model import Check, Node
from mcloud.order import Order
from mcloud.plan import Plan
from mcloud.plugins import Plugins
from mcloud.session.lobby import Guest, Lobby
from mcloud.session.protocol import Outlook, Proposal


def gathered(order: Order, me: Node, guests: Sequence[Guest], plugins: Plugins) -> Inputs:
    """Return what to plan from: the initiator, and of those who came the ones that were ordered."""
    came = {guest.name: guest for guest in guests}
    names = [name for name in order.machines if name in came] or sorted(came)
    # What a machine says of itself is taken, but not that it founds the cloud.
    joiners = [
        said.node.model_copy(update={"founder": False, "standing": "joining"})
        for name in names
        if (said := came[name].introduction) is not None
    ]
    return Inputs(
        run=token_hex(8),
        command=order.command,
        cloud=order.cloud,
        nodes=(me, *joiners),
        services=order.services,
        settings=order.settings,
        node_settings=order.node_settings,
        versions={name: version for name, version in plugins.versions.items() if name in order.services},
        digest=order.digest,
        on_failure=order.on_failure,
        others=order.others,
    )


def checked(plugins: Plugins, inputs: Inputs) -> tuple[Check, ...]:
    """Ask every service's plugin about all machines. Raises SettingsError with all errors found."""
    checks: list[Check] = list(claimed_twice(inputs, plugins.manifests))
    for plugin in inputs.services:
        asked = inputs.asked_of_all(plugin, plugins.manifests[plugin])
        checks += plugins.preflight(plugin, **asked)
    wrong = [check for check in checks if check.level == "error"]
    if wrong:
        raise SettingsError(
            "the checks found what must be put right first; nothing was changed",
            problems=[
                f"{check.machine or inputs.cloud}: {check.message}"
                + (f" ({check.hint})" if check.hint else "")
                for check in wrong
            ],
        )
    return tuple(checks)


def proposal(order: Order, inputs: Inputs) -> Proposal:
    """Return what the joiners are told to plan from."""
    return Proposal(
        purpose=order.purpose,
        inputs=inputs,
        given=order.given,
        secrets={
            plugin: {name: value.get_secret_value() for name, value in fields.items()}
            for plugin, fields in order.secrets.items()
        },
        deadlines=order.deadlines,
    )


def all_planned(lobby: Lobby, inputs: Inputs) -> bool:
    """Return whether every machine showed its plan. Raises McloudError if one left instead."""
    guests = [lobby.named(node.name) for node in inputs.joiners]
    for guest in guests:
        if guest is not None and guest.standing in {"failed", "parted"}:
            raise McloudError(
                f"{guest.name} left: {guest.reason or 'it was stopped there'}",
                hint="put that right, then type the same command again here and there",
            )
    return all(guest is not None and guest.outlook is not None for guest in guests)


def refuse_other_steps(guest: Guest, outlook: Outlook, plan: Plan) -> None:
    """Refuse (ProtocolError) lines about what is not in a joiner's plan: a person has to read them all."""
    told = [line.key for line in outlook.lines]
    if len(set(told)) < len(told) or not plan.steps.keys() >= set(told):
        raise ProtocolError(f"{guest.name} shows steps that its plan does not have")
