"""Trust by words: who knows the code gets in, nobody else, and nothing else comes out of it."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from spake2 import SPAKE2_A, SPAKE2_B

from mcloud import ProtocolError, Role, TrustError
from mcloud.session.binding import binding_of, framed
from mcloud.session.trust import manifest, trust

CODE = SecretStr("acorn blimp crisp dove")
BINDING = binding_of(
    initiator_hello=b'{"hello": 1}',
    joiner_hello=b'{"hello": 2}',
    server_certificate=b"\x30DER",
    method="words",
)


class Line:
    """One end of a line between two threads; `tap` sees and may change what is sent."""

    def __init__(self, inbox: queue.Queue[bytes | None], outbox: queue.Queue[bytes | None]) -> None:
        self.inbox, self.outbox = inbox, outbox
        self.sent: list[bytes] = []
        self.tap: Callable[[bytes], bytes] = lambda message: message

    def send(self, message: bytes) -> None:
        message = self.tap(message)
        self.sent.append(message)
        self.outbox.put(message)

    def receive(self) -> bytes:
        message = self.inbox.get(timeout=5)
        if message is None:
            raise ProtocolError("the other side is gone")
        return message


class Script:
    """An other side that says what it is told to, whatever it hears; then it is gone."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.heard: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.heard.append(message)

    def receive(self) -> bytes:
        if not self.messages:
            raise ProtocolError("the other side is gone")
        return self.messages.pop(0)


def line() -> tuple[Line, Line]:
    there: queue.Queue[bytes | None] = queue.Queue()
    back: queue.Queue[bytes | None] = queue.Queue()
    return Line(back, there), Line(there, back)


def meanwhile(end: Line, code: SecretStr, role: Role, binding: bytes) -> Future[None]:
    done: Future[None] = Future()

    def work() -> None:
        try:
            done.set_result(trust(end, code, role, binding))
        except Exception as error:  # noqa: BLE001 - handed to the test
            done.set_exception(error)
        finally:
            end.outbox.put(None)

    threading.Thread(target=work, daemon=True).start()
    return done


def both(
    *,
    joiner_code: SecretStr = CODE,
    initiator_code: SecretStr = CODE,
    joiner_binding: bytes = BINDING,
    initiator_binding: bytes = BINDING,
    ends: tuple[Line, Line] | None = None,
) -> tuple[BaseException | None, BaseException | None]:
    """Return the errors of joiner and initiator."""
    joiner_end, initiator_end = ends or line()
    initiator = meanwhile(initiator_end, initiator_code, Role.INITIATOR, initiator_binding)
    joiner = meanwhile(joiner_end, joiner_code, Role.JOINER, joiner_binding)
    return joiner.exception(timeout=15), initiator.exception(timeout=15)


def test_the_same_code_is_trusted_on_both_sides():
    ends = line()
    assert both(ends=ends) == (None, None)
    assert [len(message) for message in ends[0].sent] == [33, 32]
    assert [len(message) for message in ends[1].sent] == [33, 32]


def test_how_the_code_is_typed_makes_no_difference():
    assert both(joiner_code=SecretStr(" Acorn-BLIMP  crisp dove")) == (None, None)


def test_a_wrong_code_is_a_trust_error_on_both_sides():
    joiner, initiator = both(joiner_code=SecretStr("acorn blimp crisp ember"))
    assert isinstance(joiner, TrustError)
    assert isinstance(initiator, TrustError)
    assert "initiator's screen" in joiner.hint
    for error in (joiner, initiator):
        assert "crisp" not in f"{error} {error.hint} {error.__cause__}"


@pytest.mark.parametrize("changed", ["initiator_hello", "joiner_hello", "server_certificate", "method"])
def test_anything_heard_differently_before_is_refused_with_the_right_code(changed: str):
    parts: dict[str, bytes | str] = {
        "initiator_hello": b"i",
        "joiner_hello": b"j",
        "server_certificate": b"c",
        "method": "words",
    }
    other = parts | {changed: "other" if changed == "method" else b"other"}
    joiner, initiator = both(joiner_binding=binding_of(**parts), initiator_binding=binding_of(**other))
    assert isinstance(joiner, TrustError)
    assert isinstance(initiator, TrustError)


def test_a_man_in_the_middle_who_only_passes_on_is_refused():
    """Each half sees *his* certificate or its own: the bindings differ, whatever he relays."""
    relayed = {"initiator_hello": b"i", "joiner_hello": b"j", "method": "words"}
    errors = both(
        joiner_binding=binding_of(**relayed, server_certificate=b"his"),
        initiator_binding=binding_of(**relayed, server_certificate=b"the initiator's"),
    )
    assert all(isinstance(error, TrustError) for error in errors)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("message", [0, 1])
def test_one_changed_bit_in_any_message_is_refused(which: int, message: int):
    ends = line()
    seen: list[bytes] = []

    def flip(sent: bytes) -> bytes:
        seen.append(sent)
        return sent[:-1] + bytes([sent[-1] ^ 1]) if len(seen) == message + 1 else sent

    ends[which].tap = flip
    errors = both(ends=ends)
    assert any(isinstance(error, TrustError) for error in errors)
    # The initiator confirms last: only its confirmation can be spoilt when it is content already.
    assert (errors[1] is None) == (which == 1 and message == 1)


def test_parts_cannot_be_shifted_into_each_other():
    assert framed(b"ab", b"c") != framed(b"a", b"bc")
    assert framed(b"") != framed()


def test_the_joiner_confirms_first():
    """An initiator without the code learns one confirmation, and gives none of its own before."""
    liar = SPAKE2_B(b"wrong", idA=b"joiner", idB=b"initiator")
    channel = Script(liar.start())
    with pytest.raises(ProtocolError):
        trust(channel, CODE, Role.JOINER, BINDING)
    assert [len(message) for message in channel.heard] == [33, 32]


def test_an_initiator_that_cannot_confirm_is_refused():
    liar = SPAKE2_B(b"wrong", idA=b"joiner", idB=b"initiator")
    with pytest.raises(TrustError):
        trust(Script(liar.start(), b"\0" * 32), CODE, Role.JOINER, BINDING)


def test_the_joiners_own_confirmation_sent_back_is_refused():
    mirror = Script()
    side = SPAKE2_B(b"acorn blimp crisp dove", idA=b"joiner", idB=b"initiator")
    mirror.messages = [side.start()]
    sent: list[bytes] = []

    def send(message: bytes) -> None:
        sent.append(message)
        if len(sent) == 2:
            mirror.messages.append(message)

    mirror.send = send  # type: ignore[method-assign]
    with pytest.raises(TrustError):
        trust(mirror, CODE, Role.JOINER, BINDING)
    assert len(sent) == 2


def test_a_share_sent_back_is_refused():
    for side in (b"A", b"B"):
        mirror, sent = Script(), list[bytes]()

        def send(
            message: bytes, side: bytes = side, mirror: Script = mirror, sent: list[bytes] = sent
        ) -> None:
            sent.append(message)
            mirror.messages.append(side + message[1:])

        mirror.send = send  # type: ignore[method-assign]
        with pytest.raises(TrustError):
            trust(mirror, CODE, Role.JOINER, BINDING)
        assert len(sent) == 1


def test_a_share_is_33_bytes():
    share = SPAKE2_A(b"acorn blimp crisp dove", idA=b"joiner", idB=b"initiator").start()
    for wrong in (share + b"\0", share[:-1], b"", share * 2):
        channel = Script(wrong)
        with pytest.raises(TrustError):
            trust(channel, CODE, Role.INITIATOR, BINDING)
        assert channel.heard == []


def test_a_joiner_without_the_code_gets_a_share_and_a_no():
    liar = SPAKE2_A(b"wrong", idA=b"joiner", idB=b"initiator")
    channel = Script(liar.start(), b"\0" * 32)
    with pytest.raises(TrustError):
        trust(channel, CODE, Role.INITIATOR, BINDING)
    assert [len(message) for message in channel.heard] == [33, len(b"refused")]


def test_every_exchange_has_a_share_of_its_own():
    shares = set()
    for _ in range(3):
        channel = Script()
        with pytest.raises(ProtocolError):
            trust(channel, CODE, Role.JOINER, BINDING)
        shares.add(channel.heard[0])
    assert len(shares) == 3


def _shares(side: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.binary(max_size=80),
        st.binary(min_size=32, max_size=32).map(lambda point: side + point),
        st.sampled_from([bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"\xec" + b"\xff" * 30 + b"\x7f"]).map(
            lambda point: side + point
        ),
    )


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([Role.INITIATOR, Role.JOINER]), st.data())
def test_whatever_is_said_it_ends_with_one_of_two_errors(role: Role, data: st.DataObject):
    other = b"A" if role is Role.INITIATOR else b"B"
    said = data.draw(st.lists(_shares(other), max_size=4))
    with pytest.raises((TrustError, ProtocolError)):
        trust(Script(*said), CODE, role, BINDING)


def test_it_is_a_plugin_like_any_other():
    assert manifest().api == 1
    assert manifest().settings is None
