"""Every hook of mcloud, in the order of a cloud's life; read this file first.

A plugin is a module (or object) with functions of these names, marked `@hookimpl`, found by an
entry point of group `mcloud`. A hook takes those of the arguments below that it needs. Hooks that
plan return steps and do nothing: they are never given a `Host`.

All plan hooks get the same four keywords:

- `node`: the machine the steps are for (`issue_token`: the joiner they are *about*);
- `nodes`: the coming roster, founder first, then the file's order. Roles follow that order;
- `settings`: the plugin's cloud-wide settings, secret fields None (a step reads `ctx.secret`);
- `node_settings`: the plugin's settings by machine name; machines without any have defaults.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import pluggy
from pydantic import SecretStr

from mcloud.host import Host
from mcloud.model import Beacon, Channel, Check, Manifest, Node, Role, Search, ServiceState
from mcloud.steps import Step

hookspec = pluggy.HookspecMarker("mcloud")

# ---- describe: read only, every plugin is asked -------------------------------------------------------


@hookspec
def manifest() -> Manifest:
    """Say what this plugin is. At load, on every machine; the one hook all plugins have."""
    raise NotImplementedError


@hookspec
def inspect(host: Host) -> ServiceState | None:
    """Look at this plugin's service on this machine. Before any plan, on every machine; changes nothing.

    The result travels to the initiator and is seen by `preflight` as `node.services[plugin]`.
    """


@hookspec
def preflight(nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any]) -> Iterable[Check]:
    """Check the surveys of *all* machines before any change. On the initiator; an error stops the run."""
    raise NotImplementedError


# ---- meet: before there is a cloud ----------------------------------------------------------------------


@hookspec
def announce(beacon: Beacon, settings: Any) -> AbstractContextManager[None]:
    """Make the initiator findable while the context is open. On the initiator; mirror: `discover`."""
    raise NotImplementedError


@hookspec
def discover(search: Search, settings: Any) -> Iterator[Beacon]:
    """Yield initiators as they are found, until the search's patience ends. On a joiner; mirror: `announce`.

    May yield one initiator again and again; the core shows it once.
    """
    raise NotImplementedError


@hookspec
def trust(channel: Channel, code: SecretStr, role: Role, binding: bytes) -> None:
    """Prove on both sides that the other knows the code, without telling it. Both halves call the same hook.

    `binding` holds all that was said before and the certificates: both proofs must cover it.
    Returns when the other side has proven it; raises TrustError if it did not.
    """


# ---- plan: return steps, do nothing ---------------------------------------------------------------------


@hookspec
def bootstrap(
    node: Node, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any], fallen: Sequence[Node]
) -> Iterable[Step]:
    """Found the service on the founder, nothing more. Stage `found`, founder only."""
    raise NotImplementedError


@hookspec
def issue_token(
    node: Node, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any], fallen: Sequence[Node]
) -> Iterable[Step]:
    """Make what joiner `node` needs to join; the last step offers `JoinToken`. Stage `enter`, at the seat.

    Once per joiner, when that joiner asks; `ctx.request` is what it sent. Mirror: `join`.
    """
    raise NotImplementedError


@hookspec
def join(
    node: Node, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any], fallen: Sequence[Node]
) -> Iterable[Step]:
    """Do all per-machine work. Stage `enter`, on every machine, the founder too (it has no token).

    Steps that use the token have `needs=(JoinToken,)` and are left out where `node.founder`.
    Mirror: `issue_token`.
    """
    raise NotImplementedError


@hookspec
def configure(
    node: Node, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any], fallen: Sequence[Node]
) -> Iterable[Step]:
    """Set the cloud up as a whole, when all machines are in. Stage `configure`, at the seat, once.

    Steps converge: a probe is true only if it is so for all `nodes`. Offers that are cloud-wide
    are made here, with a probe. What is left of those that have `fallen` out of this run is cleared
    away here, without their help, as far as it would trouble the others; nothing of any other machine.
    """
    raise NotImplementedError


@hookspec
def adapt(
    node: Node, nodes: Sequence[Node], settings: Any, node_settings: Mapping[str, Any], fallen: Sequence[Node]
) -> Iterable[Step]:
    """Bring this machine in line with the cloud as it is now. Stage `adapt`, every machine, new ones too."""
    raise NotImplementedError


# ---- end: this machine alone ------------------------------------------------------------------------------


@hookspec
def reset(
    node: Node, settings: Any, node_settings: Mapping[str, Any] | None, disks: Literal["keep", "wipe"]
) -> Iterable[Step]:
    """End the service on this machine, from any state: it is ready to join then. By `mcloud reset`.

    `settings` and `node_settings` are those of the last cloud, as far as anything of it is left: None
    if not. No other machine and no service is there to be relied on: the steps stop units, by force if
    they hang, and remove data, each call with a deadline. They may be killed and run again.

    A probe reports what it finds (`ctx.report`, a line for each thing): it returns None if that has to
    go, `()` if it stays. `destroys` says what is lost for good. What is not the service's stays, and is
    reported; with `disks` "keep", so does what is on the service's disks. The order is that of a run
    backwards: who wants something is ended before who offers it. A step that fails stops no other.
    """
    raise NotImplementedError
