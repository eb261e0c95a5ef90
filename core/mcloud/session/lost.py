"""How a connection ended, for whoever waits on it."""

from websockets.client import ClientProtocol
from websockets.frames import CloseCode
from websockets.server import ServerProtocol

from mcloud.errors import McloudError, ProtocolError
from mcloud.session.limits import printable


class ConnectionLost(McloudError):  # noqa: N818 - an outcome, not a fault of anyone
    """The other side closed, vanished or fell silent; `reason` is what it said, or what was seen."""

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        """Keep the reason, printable and short."""
        super().__init__(message, hint=hint)
        self.reason = printable(reason)


class Silence(ConnectionLost, TimeoutError):  # noqa: N818 - an outcome, like its base
    """Nothing was said in time; the connection is there, but who needed the answer has lost it."""


def lost(address: str, seen: str, protocol: ClientProtocol | ServerProtocol | None) -> Exception:
    """Return the error for whoever waits on a connection: what was seen, said, or found wrong."""
    who = address or "the other side"
    if seen:
        return ConnectionLost(f"lost the connection to {who}: {seen}", reason=seen)
    if protocol is None or (protocol.close_rcvd is None and protocol.close_sent is None):
        return ConnectionLost(f"lost the connection to {who}", reason="the connection broke")
    if protocol.close_rcvd is not None and protocol.close_rcvd_then_sent:
        reason = printable(protocol.close_rcvd.reason)
        ending = f": {reason}" if reason else ""
        return ConnectionLost(f"{who} closed the connection{ending}", reason=reason)
    if protocol.close_sent is not None and protocol.close_sent.code != CloseCode.NORMAL_CLOSURE:
        what = printable(protocol.close_sent.reason) or "not understood"
        return ProtocolError(f"{who} broke the protocol: {what}")
    return ConnectionLost("the connection is closed", reason="closed here")
