"""The joiner's side of `join`, `preseed` and `plan`, from finding the initiator to its farewell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from mcloud.attending import Attending, completed, resumed
from mcloud.choosing import Choosing
from mcloud.cli.common import refuse_second_cloud
from mcloud.cli.screen import Screen
from mcloud.cli.stopping import stoppable
from mcloud.errors import TrustError
from mcloud.here import Here
from mcloud.joining import Joining
from mcloud.journal import Journal
from mcloud.looking import Looking
from mcloud.model import Search
from mcloud.rosters import lacking
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.protocol import Farewell
from mcloud.session.transport import ConnectionLost

AGAIN = 3.0
"""Seconds to look whether the initiator still waits to hear that this machine is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a joiner finds its initiator."""

    discovery: Sequence[str]
    """Plugins that look for it, side by side."""
    initiators: tuple[tuple[str, int], ...] = ()
    """(name or address, port) that were given."""
    wanted: str = ""
    """Which one it is to be, by name, session or address; "" for the only one there is."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the discovery plugins; those that are not named have their defaults."""
    patience: float = 600.0


def attend(
    screen: Screen,
    here: Here,
    *,
    command: str,
    address: str,
    services: Sequence[str],
    way: Way,
    ask_code: Callable[[str], SecretStr],
    given: Mapping[str, Any] | None = None,
    purpose: str = "run",
) -> None:
    """Join, or go on with the unfinished run this machine joined in. Raises McloudError."""
    credentials = here.credentials()
    joiner = Joiner(
        plugins=here.plugins,
        credentials=credentials,
        node=here.describe(address, services, fingerprint=credentials.fingerprint, founder=False),
        methods=here.plugins.having("trust"),
        versions=here.plugins.versions,
        deadlines=here.host.stretch,
    )
    attending = _attending(screen, here, joiner, way, ask_code)
    going_on = resumed(here.state, here.known) if purpose == "run" else None
    over = completed(here.state, here.known) if going_on is None and purpose == "run" else None
    if going_on is None and over is None and purpose == "run":
        refuse_second_cloud(here)
    with stoppable(screen):
        before: Peer | None = None
        while True:
            journal, peer = going_on or over or (None, attending.meet(before))
            work = _work(screen, here, joiner, peer, command, journal, given)
            with screen.running():
                farewell = (
                    _again(here, attending, peer, work) if over else _stay(screen, attending, peer, work)
                )
            if farewell is not None:
                break
            before = peer
    _tell(screen, farewell, work, peer)


def _tell(screen: Screen, farewell: Farewell, work: Joining, peer: Peer) -> None:
    """Say what came of it."""
    if farewell.mood == "done":
        name = work.cloud.get("name")
        screen.say(f"This machine is part of cloud {name}.", "bold green", type="joined", cloud=name)
    elif farewell.mood == "planned":
        screen.say(f"Nothing was changed; the plan is shown on {peer.name}.", type="planned")


def _attending(
    screen: Screen, here: Here, joiner: Joiner, way: Way, ask_code: Callable[[str], SecretStr]
) -> Attending:
    own = joiner.node.addresses[0]
    carrying = (
        nic.name for nic in joiner.node.survey.nics if any(own == interface.ip for interface in nic.addresses)
    )
    search = Search(
        seconds=way.patience, address=own, interface=next(carrying, ""), initiators=way.initiators
    )
    return Attending(
        joiner=joiner,
        notice=screen.notice,
        look=lambda: Looking(here.plugins, way.discovery, search, way.settings),
        choose=Choosing(
            notice=screen.notice,
            prompter=screen,
            can_ask=screen.can_ask,
            wanted=way.wanted,
        ),
        ask_code=lambda why: _known(here, ask_code(why)),
        patience=way.patience,
    )


def _stay(screen: Screen, attending: Attending, peer: Peer, work: Joining) -> Farewell | None:
    """Stay until the farewell; None: it was started anew before a run began, and has to be met anew."""
    try:
        return attending.stay(peer, work)
    except TrustError as error:
        if work.journal is not None:
            raise
        screen.notice(f"{error}; looking for {peer.name} again")
        return None


def _again(here: Here, attending: Attending, peer: Peer, work: Joining) -> Farewell:
    """Tell the initiator, if it still waits to hear it, that this machine is in its cloud already."""
    try:
        return attending.stay(peer, work, patience=AGAIN)
    except ConnectionLost:
        refuse_second_cloud(here)
        raise


def _work(
    screen: Screen, here: Here, joiner: Joiner, peer: Peer, command: str, journal: Journal | None, given: Any
) -> Joining:
    if journal is not None:
        screen.notice(f"going on with run {journal.header['run']}, led by {peer.name}")
        if journal.finished and (out := lacking(journal)):
            screen.notice(
                f"this machine is in already; {', '.join(out)} can come in by the same command there"
            )
    else:
        screen.notice(f"waiting for {peer.name}: when all machines are there, the plan is shown on it")
    return Joining(
        plugins=here.plugins,
        host=here.host,
        state=here.state,
        known=here.known,
        joiner=joiner,
        peer=peer,
        watch=screen.happened,
        command=command,
        given=given,
        journal=journal,
    )


def _known(here: Here, code: SecretStr) -> SecretStr:
    here.known.add(code)
    return code
