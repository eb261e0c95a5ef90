"""In the middle: relays, changed and stripped Hellos, swapped certificates, mixed sessions, stolen beacons.

Both sides have the right code in all of these. Where the man in the middle holds the initiator's own
key, the certificates stop nothing, and what is left is that each Hello is part of what is proven.
"""

import json
import queue
from collections.abc import Callable

import pytest
from honest import CODE, N1, N2, N3, join, joiner, meanwhile, seat
from kit import HIS, lying, middle, named, untouched
from mutants import mutant
from pydantic import SecretStr

from mcloud import Role, errors
from mcloud.session import binding as bindings
from mcloud.session import initiator as initiators
from mcloud.session import joiner as joiners
from mcloud.session import trust
from mcloud.session.binding import binding_of
from mcloud.session.guesses import Tries

# ---- the certificate is part of what is proven -------------------------------------------------------------


def test_a_relay_with_a_certificate_of_his_own_is_refused():
    with seat() as here, middle(here.port) as his:
        with pytest.raises(errors.TrustError):
            join(his.port)
        assert isinstance(here.outcome(), errors.TrustError)
        assert here.pinned == []


def test_the_initiators_hello_must_name_the_certificate_that_is_shown():
    with seat() as here, middle(here.port, change=untouched) as his:
        tries = Tries()
        with pytest.raises(errors.ProtocolError, match="another certificate than its connection shows"):
            join(his.port, tries=tries)
        assert here.outcome() is not None
        assert (tries.left, here.book.failures) == (3, 0)  # no share was sent: there was nothing to guess


def unbound(*left_out: str):
    """Return initiator's and joiner's halves whose proof leaves something out."""
    parts = ", ".join(
        "b''" if part in left_out else part
        for part in ("initiator_hello", "joiner_hello", "server_certificate")
    )
    weak = mutant(
        bindings,
        (
            "framed(_LABEL, method.encode(), initiator_hello, joiner_hello, server_certificate)",
            f"framed(_LABEL, method.encode(), {parts})",
        ),
    )
    change = ("from mcloud.session.binding import binding_of\n", "")
    return tuple(mutant(module, change, binding_of=weak.binding_of) for module in (initiators, joiners))


def test_a_proof_of_the_code_alone_would_be_relayed():
    leading, following = unbound("initiator_hello", "joiner_hello", "server_certificate")
    with seat(half=leading.Initiator) as here, middle(here.port) as his:
        peer = join(his.port, joiner(half=following.Joiner))
        assert here.outcome() is None
        assert peer.certificate == HIS.certificate  # the joiner would pin him for the initiator


@pytest.mark.parametrize("kept", ["initiator_hello", "server_certificate"])
def test_each_of_hello_and_certificate_is_enough_against_a_relay(kept: str):
    left_out = {"initiator_hello", "joiner_hello", "server_certificate"} - {kept}
    leading, following = unbound(*left_out)
    with seat(half=leading.Initiator) as here, middle(here.port) as his:
        with pytest.raises(errors.TrustError):
            join(his.port, joiner(half=following.Joiner))
        assert isinstance(here.outcome(), errors.TrustError)


# ---- every byte of the Hellos is ---------------------------------------------------------------------------


def test_a_relay_with_the_initiators_own_key_gets_through_if_he_changes_nothing():
    """So what is refused below is refused for the change alone."""
    with seat() as here, middle(here.port, credentials=N1, change=untouched) as his:
        join(his.port)
        assert here.outcome() is None


def in_hello(who: str, **fields: object) -> Callable[[str, int, bytes], bytes]:
    """Change fields of one side's Hello."""

    def change(by: str, number: int, message: bytes) -> bytes:
        if (by, number) != (who, 0):
            return message
        return json.dumps(json.loads(message) | fields).encode()

    return change


def spelt_otherwise(by: str, number: int, message: bytes) -> bytes:
    """Say the same in other bytes."""
    return message.replace(b":", b": ") if (by, number) == ("joiner", 0) else message


CHANGES = {
    "a trust method of the joiner's stripped": in_hello("joiner", methods=["words"]),
    "a trust method added": in_hello("joiner", methods=["words", "stronger", "weaker"]),
    "the joiner's name": in_hello("joiner", name="n7"),
    "the joiner's address": in_hello("joiner", address="10.9.9.9"),
    "the joiner's certificate": in_hello("joiner", certificate=HIS.certificate),
    "the joiner's nonce": in_hello("joiner", nonce="f" * 32),
    "another key in the joiner's Hello": in_hello("joiner", new="of a newer version"),
    "other bytes, same sense": spelt_otherwise,
    "the session": in_hello("initiator", session="another"),
    "the initiator's name": in_hello("initiator", name="n7"),
    "the initiator's address": in_hello("initiator", address="10.9.9.9"),
    "the initiator's nonce": in_hello("initiator", nonce="f" * 32),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_hello_is_refused_by_both_with_the_right_code(change):
    tries = Tries()
    with seat() as here, middle(here.port, credentials=N1, change=change) as his:
        with pytest.raises(errors.TrustError):
            join(his.port, joiner(methods=("words", "stronger")), tries=tries)
        assert isinstance(here.outcome(), errors.TrustError)
        assert (here.book.failures, tries.left, here.pinned) == (1, 2, [])


def test_hellos_that_are_not_proven_could_be_changed():
    """The initiator would know the joiner by another name; by another certificate not, its key is proven."""
    leading, following = unbound("initiator_hello", "joiner_hello")
    change = in_hello("joiner", name="n9")
    with (
        seat(half=leading.Initiator) as here,
        middle(here.port, credentials=N1, change=change) as his,
    ):
        join(his.port, joiner(half=following.Joiner))
        assert here.outcome() is None
        assert here.pinned == ["n9"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (in_hello("joiner", version=0), "version 0"),
        (in_hello("joiner", methods=["none"]), "no joiner that can use"),
        (in_hello("joiner", role="initiator"), "no joiner that can use"),
        (in_hello("joiner", certificate="none"), "certificate"),
    ],
)
def test_a_downgrade_is_refused_by_the_initiator_before_a_guess(change, match):
    with seat() as here, middle(here.port, credentials=N1, change=change) as his:
        with pytest.raises(errors.McloudError):
            join(his.port)
        outcome = here.outcome()
        assert isinstance(outcome, errors.ProtocolError)
        assert match in str(outcome)
        assert here.book.failures == 0


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"version": 0}, "version 0"),
        ({"methods": ["none"]}, "no initiator with a trust method of ours"),
        ({"methods": ["none", "words"]}, "no initiator with a trust method of ours"),
        ({"role": "joiner"}, "no initiator with a trust method of ours"),
        ({"certificate": N3.certificate}, "another certificate"),
    ],
)
def test_a_downgrade_is_refused_by_the_joiner_before_a_guess(fields, match):
    tries = Tries()
    with seat() as here:
        change = in_hello("initiator", **fields)
        with middle(here.port, credentials=N1, change=change) as his:
            with pytest.raises(errors.ProtocolError, match=match):
                join(his.port, tries=tries)
            assert tries.left == 3


# ---- beacons -----------------------------------------------------------------------------------------------


def test_a_stolen_beacon_costs_him_a_guess_and_the_joiner_finds_the_right_one_after_it():
    """He announces name, session and start of the fingerprint of the initiator, with a port of his own."""
    tries, who = Tries(), joiner()
    with seat() as here, lying("some other words of his") as thief:
        with pytest.raises(errors.TrustError):
            join(thief.port, who, tries=tries)
        peer = join(here.port, who, tries=tries)
        assert peer.fingerprint == N1.fingerprint
        assert here.outcome() is None
        assert tries.left == 2


def test_a_thief_who_shows_the_initiators_certificate_has_not_its_key():
    """TLS fails: the certificate in his Hello would have to be the one of the connection."""
    with lying("guess", change=lambda said: named(N1.certificate)("initiator", 0, said)) as thief:
        tries = Tries()
        with pytest.raises(errors.ProtocolError, match="another certificate"):
            join(thief.port, tries=tries)
        assert tries.left == 3


# ---- mixed sessions ----------------------------------------------------------------------------------------


class End:
    """One end of a line whose other end may be told to belong to another session."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[bytes | None] = queue.Queue()
        self.outbox: list[queue.Queue[bytes | None]] = []
        """Where each message goes, one after another."""

    def send(self, message: bytes) -> None:
        self.outbox.pop(0).put(message)

    def receive(self) -> bytes:
        message = self.inbox.get(timeout=5)
        if message is None:
            raise errors.ProtocolError("the other side is gone")
        return message


def proofs(swapped: str) -> list[bool]:
    """Run two sessions of one code at once, with one message of each swapped; who trusts, j1 i1 j2 i2."""
    ends = {name: End() for name in ("j1", "i1", "j2", "i2")}
    for number, other in (("1", "2"), ("2", "1")):
        for role, peer in (("j", "i"), ("i", "j")):
            ends[role + number].outbox = [
                ends[peer + (other if f"{role}{place}" == swapped else number)].inbox for place in (1, 2)
            ]

    def session(name: str) -> Callable[[], BaseException | None]:
        number = name[1]
        binding = binding_of(
            initiator_hello=b"initiator " + number.encode(),
            joiner_hello=b"joiner " + number.encode(),
            server_certificate=N1.der if number == "1" else N2.der,
            method="words",
        )
        role = Role.JOINER if name[0] == "j" else Role.INITIATOR

        def work() -> None:
            try:
                trust.trust(ends[name], CODE, role, binding)
            finally:
                for sink in ends[name].outbox:
                    sink.put(None)

        return meanwhile(work)

    return [wait() is None for wait in [session(name) for name in ends]]


def test_two_sessions_of_one_code_side_by_side():
    assert proofs("nothing") == [True] * 4


@pytest.mark.parametrize(
    ("swapped", "who"),
    [("j1", []), ("i1", []), ("j2", []), ("i2", ["i1", "i2"])],
    ids=["shares of the joiners", "shares of the initiators", "confirmations", "the last confirmations"],
)
def test_messages_of_two_sessions_do_not_mix(swapped: str, who: list[str]):
    """Two initiators, two joiners, one code. Who spoke last is content already when that is swapped."""
    trusting = dict(zip(("j1", "i1", "j2", "i2"), proofs(swapped), strict=True))
    assert [name for name, content in trusting.items() if content] == who


def test_a_joiner_led_to_another_session_with_another_code_is_refused_there():
    with seat() as here, seat(code=SecretStr("other words for n3 alone"), credentials=N3) as other:
        with pytest.raises(errors.TrustError):
            join(other.port)
        assert isinstance(other.outcome(), errors.TrustError)
        join(here.port)
        assert here.outcome() is None


def test_two_joiners_through_one_relay_are_both_refused():
    with seat() as here, middle(here.port) as his:
        waits = [
            meanwhile(lambda who=who: join(his.port, who)) for who in (joiner(N2), joiner(N3, name="n3"))
        ]
        assert all(isinstance(wait(), errors.TrustError) for wait in waits)
        assert here.pinned == []
