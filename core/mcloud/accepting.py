"""What a joiner takes from an initiator, and what it refuses, before it makes any plan."""

from collections.abc import Mapping
from typing import Any

from mcloud.errors import ProtocolError, SettingsError
from mcloud.fitting import differing
from mcloud.forms import differences
from mcloud.plugins import Plugins
from mcloud.session.joiner import Joiner
from mcloud.session.protocol import Proposal


def accept(
    proposal: Proposal, *, joiner: Joiner, run: str, given: Mapping[str, Any] | None, plugins: Plugins
) -> None:
    """Check a proposal against this machine.

    `run` is the one it is in the middle of, empty if none; `given` what its own file says, None
    without a file. Raises ProtocolError for another run or a roster without us, SettingsError for
    plugins or settings that differ.
    """
    inputs = proposal.inputs
    if run and inputs.run != run:
        raise ProtocolError(
            f"the initiator proposes run {inputs.run}, this machine is in the middle of {run}",
            hint="`mcloud undo` takes back what that one did here",
        )
    me = inputs.node(joiner.node.name)
    if me is None or me.fingerprint != joiner.node.fingerprint or me.founder:
        raise ProtocolError("the initiator's roster does not hold this machine as a joiner")
    plugins.require(inputs.services)
    wanted = {name: version for name, version in inputs.versions.items() if name in inputs.services}
    if problems := differing(joiner.versions, wanted):
        raise SettingsError("the plugins differ", problems=problems, hint="install the same versions on all")
    if given is not None and (keys := differences(given, proposal.given)):
        raise SettingsError(
            "this machine's file says something else than the initiator's",
            problems=[f"{key} differs" for key in keys],
            hint="give every machine the same file",
        )
