"""Threads for those who talk on a connection: so many and no more, and no connection forgotten."""

import logging
import threading
from collections import Counter
from collections.abc import Callable

from mcloud.errors import McloudError, ProtocolError, TrustError
from mcloud.session.transport import Connection

log = logging.getLogger(__name__)


class Callbacks:
    """Starts them; used by the event thread only."""

    def __init__(self, most: int, of_each: int) -> None:
        """Let `most` of those run at once that are about strangers, and `of_each` about one member."""
        self._most = most
        self._of_each = of_each
        self._running: Counter[str | None] = Counter()

    def start(
        self,
        callback: Callable[[Connection], None],
        connection: Connection,
        *,
        whose: str | None,
        done: Callable[[], None],
    ) -> bool:
        """Call `callback` in a new thread, `done` at its end; False: there is no thread to be had.

        `whose` is a member's fingerprint, None a stranger's. A stranger's connection is closed with its
        callback, a member's only if that failed.
        """
        if self._running[whose] >= (self._most if whose is None else self._of_each):
            return False
        arguments = (callback, connection, whose is None, done)
        name = f"mcloud-from-{connection.peer_address}"
        try:
            threading.Thread(target=_run, args=arguments, name=name, daemon=True).start()
        except RuntimeError as error:
            log.warning("cannot talk to %s: %s", connection.peer_address, error)
            return False
        self._running[whose] += 1
        return True

    def ended(self, whose: str | None) -> None:
        """Note the end of one; its `done` has this called in the event thread."""
        self._running[whose] -= 1
        self._running += Counter()  # forgets who has none


def _run(
    callback: Callable[[Connection], None],
    connection: Connection,
    stranger: bool,  # noqa: FBT001 - called by Thread, in one place
    done: Callable[[], None],
) -> None:
    close, reason = True, ""
    try:
        callback(connection)
        close = stranger
    except McloudError as error:
        log.info("%s: %s", connection.peer_address, error)
        # Only what is about them, never about this machine.
        reason = error.message if isinstance(error, ProtocolError | TrustError) else ""
        # pluggy's frames hold on to it, and it to them and the connection: half a MiB until some collection.
        error.__traceback__ = None
    except Exception:
        log.exception("the talk with %s broke off", connection.peer_address)
    finally:
        if close:
            connection.close(reason)
        done()
