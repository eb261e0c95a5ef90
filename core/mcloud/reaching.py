"""Reaching an initiator that was found: dial it at each of its addresses until it answers or is gone."""

import time
from collections.abc import Callable

from mcloud.errors import TrustError
from mcloud.finding import Found
from mcloud.looking import Looking
from mcloud.model import Beacon
from mcloud.session.certificates import fingerprint
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.transport import Connection, ConnectionLost, dial

INSIST = 5.0
"""Seconds to try one initiator that does not answer while there are others to join."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0


def reach(
    looking: Looking,
    found: Found,
    notice: Callable[[str], None],
    told: dict[str, str],
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[Connection, Beacon] | None:
    """Return a connection to an initiator and the beacon that led there; None: look anew.

    Tries as long as the patience lasts; gives up before if it was started anew, is not heard any
    more, or there are others. Who shows another certificate than was announced is not talked to.
    Raises ConnectionLost after the patience.
    """
    began, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        for address in found.addresses:
            reached = _try(looking, found, address, told, notice, limits=limits)
            if reached is not None:
                looking.note_trouble(found, "")
                return reached
        now = looking.still(found)
        if now is None:
            notice(f"{found.name} is not heard at {found.place} any more; looking again")
            return None
        found, reason = now, "; ".join(dict.fromkeys(told.values()))
        looking.note_trouble(found, reason)
        if looking.left <= 0:
            raise ConnectionLost(
                f"no connection to {found}: {reason}",
                hint="is mcloud running there, is the address right, does a firewall stand between?",
                reason=reason,
            )
        others = [one for one in looking.found() if not one.closed and one.key != found.key]
        if others and time.monotonic() - began >= INSIST:
            return None
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def refuse_another_certificate(connection: Connection, claim: str) -> None:
    """Raise TrustError if the certificate of this connection is not the announced one; "" fits any."""
    seen = fingerprint(connection.peer_certificate or b"")
    if not seen.startswith(claim):
        raise TrustError(
            f"{connection.peer_address} shows another certificate than was announced: "
            f"it begins with {seen[: len(claim)]}, not {claim}; nothing was said to it",
            hint="somebody announces what is not so, or it was started anew: compare the initiator's screen",
        )


def _try(
    looking: Looking,
    found: Found,
    address: str,
    told: dict[str, str],
    notice: Callable[[str], None],
    *,
    limits: Limits,
) -> tuple[Connection, Beacon] | None:
    """Dial one address once; say each new reason why it fails."""
    try:
        connection = dial(address, found.port, limits=limits)
    except ConnectionLost as lost:
        if told.get(address) != lost.reason:
            notice(f"waiting for {address}, port {found.port}: {lost.reason}")
        told[address] = lost.reason
        return None
    claim = dict(found.claims).get(address, "")
    try:
        refuse_another_certificate(connection, claim)
    except TrustError as error:
        connection.close()
        told[address] = str(error)
        looking.refuse(address, found.port, claim, str(error))
        notice(f"{error}: {error.hint}")
        return None
    beacon = Beacon.model_validate({"name": found.name, "address": address, "port": found.port})
    return connection, beacon
