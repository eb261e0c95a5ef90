"""The joiner's side of `join`, `preseed` and `plan`, from finding the initiator to its farewell."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from mcloud.attending import Attending, completed, resumed
from mcloud.cli.common import refuse_second_cloud
from mcloud.cli.screen import Screen
from mcloud.cli.stopping import stoppable
from mcloud.errors import McloudError
from mcloud.here import Here
from mcloud.joining import Joining
from mcloud.journal import Journal
from mcloud.model import Beacon, Search
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.protocol import Farewell
from mcloud.session.transport import ConnectionLost

AGAIN = 3.0
"""Seconds to look whether the initiator still waits to hear that this machine is in."""


def attend(
    screen: Screen,
    here: Here,
    *,
    command: str,
    address: str,
    services: Sequence[str],
    discovery: Sequence[str],
    initiators: tuple[tuple[str, int], ...],
    patience: float,
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
    )
    attending = Attending(
        joiner=joiner,
        notice=screen.notice,
        find=lambda: _find(screen, here, discovery, initiators, patience),
        ask_code=lambda why: _known(here, ask_code(why)),
        patience=patience,
    )
    going_on = resumed(here.state, here.known) if purpose == "run" else None
    over = completed(here.state, here.known) if going_on is None and purpose == "run" else None
    if going_on is None and over is None and purpose == "run":
        refuse_second_cloud(here)
    with stoppable(screen):
        journal, peer = going_on or over or (None, attending.meet())
        work = _work(screen, here, joiner, peer, command, journal, given)
        with screen.running():
            farewell = _again(here, attending, peer, work) if over else attending.stay(peer, work)
    if farewell.mood == "done":
        name = work.cloud.get("name")
        screen.say(f"This machine is part of cloud {name}.", "bold green", type="joined", cloud=name)
    elif farewell.mood == "planned":
        screen.say(f"Nothing was changed; the plan is shown on {peer.name}.", type="planned")


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


def _find(
    screen: Screen,
    here: Here,
    discovery: Sequence[str],
    initiators: tuple[tuple[str, int], ...],
    patience: float,
) -> Iterator[Beacon]:
    """Yield what the discovery plugins find; one that fails is named, and the others go on."""
    search = Search(seconds=patience, initiators=initiators)
    failed = 0
    for name in discovery:
        model = here.plugins.manifests[name].settings
        try:
            yield from here.plugins.discover(name, search=search, settings=model and model())
        except McloudError as error:
            failed += 1
            if failed == len(discovery):
                raise
            screen.notice(f"{name} cannot look for initiators: {error}")
