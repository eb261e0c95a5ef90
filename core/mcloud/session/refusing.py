"""Whom the initiator does not take, before and after trust, and what such a machine is told."""

from collections.abc import Callable
from contextlib import suppress

from mcloud.errors import McloudError, ProtocolError, SettingsError
from mcloud.model import Node
from mcloud.session.certificates import vetted
from mcloud.session.due import NOT_PICKED
from mcloud.session.lobby import Guest, Lobby
from mcloud.session.protocol import (
    GOODBYE,
    Farewell,
    Hello,
    Introduction,
    Message,
    Refusal,
    encode,
    refuse_other_version,
)
from mcloud.session.transport import Connection, ConnectionLost

_GOODBYE_PATIENCE = 5.0


def refuse_hello(hello: Hello, *, source: str, method: str) -> None:
    """Raise ProtocolError for who cannot join whatever code it knows."""
    refuse_other_version(hello, whose=source)
    if hello.role != "joiner" or method not in hello.methods:
        raise ProtocolError(f"{source} is no joiner that can use the trust method {method}")
    vetted(hello.certificate)


def let_in(
    guest: Guest,
    connection: Connection,
    said: Introduction,
    *,
    lobby: Lobby,
    vet: Callable[[Introduction], Refusal | None] | None,
) -> Refusal | None:
    """Let a machine in as this guest, also if only to tell it that it is refused.

    Returns why it is not this guest at all, but another machine with the same certificate. `vet` says
    what does not fit; None: that is known already. Raises ProtocolError where it is not who its Hello said.
    """
    with lobby.changed:
        if (other := twin(guest, said)) is not None:
            return other
        if said.node.name != guest.name or said.node.fingerprint != guest.fingerprint:
            raise ProtocolError(f"{guest.name} introduces itself as somebody else")
        picked = lobby.may_stay(guest)
        refusal = (namesake(lobby, guest, said) or (vet and vet(said))) if picked else NOT_PICKED
        old = guest.come(connection, said, refusal)
        lobby.changed.notify_all()
    if old is not None:
        old.close("it came back on another connection")
    return None


def twin(guest: Guest, said: Introduction) -> Refusal | None:
    """Return why a machine is refused that shows the certificate of another one which is here."""
    if guest.standing != "here" or guest.introduction is None:
        return None
    first, second = guest.introduction.node, said.node
    if (first.name, first.address) == (second.name, second.address):
        return None  # the same machine, back before its old connection was missed
    return same_certificate(first, second)


def namesake(lobby: Lobby, guest: Guest, said: Introduction) -> Refusal | None:
    """Return why a machine is refused whose name another one has that is here."""
    other = lobby.named(guest.name)
    if other is None or other is guest or other.standing != "here" or other.introduction is None:
        return None
    return same_name(other.introduction.node, said.node)


def same_certificate(first: Node, second: Node) -> Refusal:
    """Return what a machine is told that shows the certificate of another one."""
    return Refusal(
        reason=(
            f"two machines have the same certificate: {first.name} ({first.address}), which was here first, "
            f"and {second.name} ({second.address}); was a disk copied after mcloud had run on it?"
        ),
        hint="on one of them, remove /var/lib/mcloud and give it a host name of its own",
    )


def same_name(first: Node, second: Node) -> Refusal:
    """Return what a machine is told that has the name of another one."""
    return Refusal(
        reason=(
            f"two machines are called {first.name}: one at {first.address}, which was here first, and "
            f"one at {second.address}"
        ),
        hint="give one of them another host name, then type the same command there again",
    )


def turn_away(connection: Connection, refusal: Refusal) -> None:
    """Tell a machine that it is not taken, hear its goodbye, and close."""
    with suppress(ConnectionLost, ProtocolError):
        connection.send(encode(refusal))
        connection.receive(timeout=_GOODBYE_PATIENCE)
    connection.close(GOODBYE)


def send_away(connection: Connection, reason: str) -> None:
    """Close on a machine that does not keep to the script; it is told why."""
    message: Message = Farewell(mood="failed", reason=reason[:4000])
    with suppress(ConnectionLost, ProtocolError):
        connection.send(encode(message))
    connection.close(reason)


def refused(said: Refusal) -> McloudError:
    """Return the error a machine ends with that is not taken: SettingsError where something does not fit."""
    message, hint = f"this machine was not taken: {said.reason}", said.hint or "ask the operator there"
    if said.problems:
        return SettingsError(message, problems=said.problems, hint=hint)
    return McloudError(message, hint=hint)
