"""Said again: what was recorded, what we said ourselves, what nobody would say; each refused."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from honest import CODE, N1, N2, join, joiner, meanwhile, seat
from kit import HIS, WORDS, confirmation, guess_as_joiner, hello, middle, posing, side, spend, untouched
from mutants import mutant
from spake2.ed25519_basic import Zero

from mcloud import errors
from mcloud.session import initiator as initiators
from mcloud.session import possession, protocol, shape, trust
from mcloud.session.binding import binding_of
from mcloud.session.guesses import Tries
from mcloud.session.transport import Connection, dial

RIGHT, WRONG = WORDS[:2]

# ---- replay ------------------------------------------------------------------------------------------------


def recorded(**halves) -> dict[str, list[bytes]]:
    """Return all that was said in a good exchange, as read by one who holds the initiator's key."""
    leading, following, plugin = (halves.get(name) for name in ("leading", "following", "trust"))
    how = {"half": leading.Initiator} if leading else {}
    who = {"half": following.Joiner} if following else {}
    plugin = plugin or trust
    with (
        seat(trust=plugin, **how) as here,
        middle(here.port, credentials=N1, change=untouched) as ear,
    ):
        join(ear.port, joiner(trust=plugin, **who))
        assert here.outcome() is None
    return {name: [message for by, message in ear.heard if by == name] for name in ("joiner", "initiator")}


def replay(port: int, messages: Sequence[bytes]) -> None:
    """Say to the initiator what a joiner said before."""
    with dial("127.0.0.1", port, patience=5) as line, suppress(errors.McloudError):
        for message in messages:
            line.send(message)
            line.receive(timeout=5)


def test_a_whole_good_session_said_again_to_the_initiator_is_one_failed_guess():
    said = recorded()
    with seat() as here:
        for number in (1, 2):
            replay(here.port, said["joiner"])
            assert isinstance(here.outcome(), errors.TrustError)
            assert here.book.failures == number
        assert here.pinned == []


def test_it_would_do_again_if_nothing_in_it_were_fresh():
    stale = mutant(trust, ("SPAKE2_B(_password(code), ", "SPAKE2_B(_password(code), entropy_f=bytes, "))
    same_session = ("session: str = field(default_factory=lambda: secrets.token_hex(4))", "session: str = ''")
    same = mutant(initiators, ("nonce=secrets.token_hex(16)", "nonce='0' * 32"), same_session)
    said = recorded(leading=same, trust=stale)
    with seat(half=same.Initiator, trust=stale) as here:
        replay(here.port, said["joiner"])
        assert here.outcome() is None
        assert here.pinned == ["n2"]


@pytest.mark.parametrize(
    "key", [HIS, N1], ids=["with a certificate of his own", "with the initiator's own key"]
)
def test_a_whole_good_session_said_again_to_the_joiner_is_refused(key):
    said = recorded()

    def again(line: Connection) -> None:
        for message in said["initiator"]:
            line.receive(timeout=5)
            line.send(message)

    tries = Tries()
    with posing(again, key) as port, pytest.raises(errors.McloudError) as refused:
        join(port, tries=tries)
    assert isinstance(refused.value, errors.ProtocolError if key is HIS else errors.TrustError)
    assert tries.left == (3 if key is HIS else 2)


def test_a_confirmation_said_again_under_a_fresh_share_is_refused():
    said = recorded()
    with seat() as here:
        for share in (said["joiner"][1], side("A", WRONG).share):
            with dial("127.0.0.1", here.port) as line:
                line.send(said["joiner"][0])
                line.receive(timeout=5)
                line.send(share)
                line.receive(timeout=5)
                line.send(said["joiner"][2])
                assert isinstance(here.outcome(), errors.TrustError)


# ---- reflection --------------------------------------------------------------------------------------------


def mirrored(port: int, *, share: bytes | None = None) -> None:
    """Tell an initiator what it said: its own Hello, and its own share under the other side's letter."""
    with dial("127.0.0.1", port) as line, suppress(errors.McloudError):
        line.send(hello("joiner", HIS) if share is not None else hello("initiator", HIS))
        line.receive(timeout=5)
        line.send(share or b"")
        line.send(line.receive(timeout=5)[:32])
        line.receive(timeout=5)


def test_an_initiators_own_words_are_refused_by_it():
    with seat() as here:
        mirrored(here.port)
        assert isinstance(here.outcome(), errors.ProtocolError)
        # The share of another exchange of its own, as a joiner's; then the same as it is.
        shown = guess_as_joiner(here.port, WRONG, confirm=False).b
        here.outcome()
        for share in (b"A" + shown[1:], shown):
            mirrored(here.port, share=share)
            assert isinstance(here.outcome(), errors.TrustError)
        assert here.pinned == []


def echo(line: Connection, *, letter: bytes = b"B", share: bytes | None = None) -> None:
    """Pose as an initiator that only says what it hears."""
    line.receive(timeout=5)
    line.send(hello("initiator", HIS))
    heard = line.receive(timeout=5)
    line.send(share or letter + heard[1:])
    line.send(line.receive(timeout=5))
    line.receive(timeout=5)  # the proof of the joiner's key, if it came so far


def test_a_joiners_own_hello_is_refused_by_it():
    with (
        posing(lambda line: line.send(line.receive(timeout=5))) as port,
        pytest.raises(errors.ProtocolError, match="no initiator"),
    ):
        join(port)


@pytest.mark.parametrize("letter", [b"A", b"B", b"S", b"\0"])
def test_a_joiners_own_share_is_refused_by_it(letter: bytes):
    tries = Tries()
    with posing(lambda line: echo(line, letter=letter)) as port, pytest.raises(errors.TrustError):
        join(port, tries=tries)
    assert tries.left == 3  # it gave no confirmation


def test_a_joiners_own_confirmation_is_refused_by_it():
    share = side("B", WRONG).share
    tries = Tries()
    with posing(lambda line: echo(line, share=share)) as port, pytest.raises(errors.TrustError):
        join(port, tries=tries)
    assert tries.left == 2


def test_with_one_label_for_both_directions_it_would_pass():
    """He would need no code at all: the joiner proves itself to itself."""
    weak = mutant(trust, ('b"mcloud words 1 initiator confirms"', "_JOINER_CONFIRMS"))
    with posing(lambda line: echo(line, share=side("B", WRONG).share)) as port:
        peer = join(port, joiner(trust=weak))
    assert peer.certificate == HIS.certificate


# ---- shares that nobody makes ------------------------------------------------------------------------------

ZERO = Zero.to_bytes()
SMALL = [
    ZERO,
    b"\xec" + b"\xff" * 30 + b"\x7f",  # order 2
    bytes(32),  # order 4
    bytes(31) + b"\x80",
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  # order 8
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]
SHARES = {
    "34 bytes": lambda share: share + b"\0",
    "32 bytes": lambda share: share[:-1],
    "nothing": lambda _share: b"",
    "4 KiB": lambda share: share.ljust(4096, b"\0"),
    "the other side's letter": lambda share: (b"B" if share[:1] == b"A" else b"A") + share[1:],
    "no letter": lambda share: b"\0" + share[1:],
    "not on the curve": lambda share: share[:1] + b"\2" + bytes(31),
    "all ones": lambda share: share[:1] + b"\xff" * 32,
    **{
        f"small order {number}": lambda share, point=point: share[:1] + point
        for number, point in enumerate(SMALL)
    },
}


@pytest.mark.parametrize("changed", SHARES.values(), ids=SHARES.keys())
def test_a_bad_share_gets_no_answer_of_the_initiator(changed):
    with seat() as here:
        with dial("127.0.0.1", here.port) as line:
            line.send(hello("joiner", HIS))
            line.receive(timeout=5)
            line.send(changed(side("A", RIGHT).share))
            with pytest.raises(errors.McloudError):
                line.receive(timeout=5)
        assert isinstance(here.outcome(), errors.TrustError)
        assert here.book.failures == 0  # no answer, nothing learnt, nothing to book
        assert here.pinned == []


@pytest.mark.parametrize("changed", SHARES.values(), ids=SHARES.keys())
def test_a_bad_share_gets_no_answer_of_the_joiner(changed):
    answers = []

    def pose(line: Connection) -> None:
        line.receive(timeout=5)
        line.send(hello("initiator", HIS))
        line.receive(timeout=5)
        line.send(changed(side("B", RIGHT).share))
        answers.append(line.receive(timeout=5))

    tries = Tries()
    with posing(pose) as port, pytest.raises(errors.TrustError):
        join(port, tries=tries)
    assert (answers, tries.left) == ([], 3)


def test_a_longer_share_would_be_taken_by_the_library():
    """It reads 32 of 33 bytes: two transcripts for one exchange, were it not for our length."""
    lax = mutant(trust, ("if len(message) != _SHARE:", "if False:"))
    with seat(trust=lax) as here, dial("127.0.0.1", here.port) as line:
        mine = hello("joiner", HIS)
        line.send(mine)
        binding = binding_of(
            initiator_hello=line.receive(timeout=5),
            joiner_hello=mine,
            server_certificate=line.server_certificate,
            method="words",
        )
        play = side("A", RIGHT)
        play.outbound_message += b"\0"
        longer = play.share + b"\0"
        line.send(longer)
        answer = line.receive(timeout=5)
        line.send(confirmation(play.finish(answer), "A", binding=binding, a=longer, b=answer))
        line.receive(timeout=5)
        line.send(possession.prove(HIS, binding))
        assert here.outcome() is None


@pytest.mark.parametrize(
    "said", [b"", b"\0" * 32, b"\0" * 31, b"\0" * 33, b"refused", "\N{SNOWMAN}".encode()]
)
def test_a_bad_confirmation_is_a_wrong_code(said: bytes):
    with seat() as here, dial("127.0.0.1", here.port) as line:
        line.send(hello("joiner", HIS))
        line.receive(timeout=5)
        line.send(side("A", RIGHT).share)
        line.receive(timeout=5)
        line.send(said)
        assert line.receive(timeout=5) == b"refused"
        assert isinstance(here.outcome(), errors.TrustError)


# ---- two meanings of one message ---------------------------------------------------------------------------


def doubled(said: bytes, key: str, value: object) -> bytes:
    """Say a key of a Hello twice."""
    return said.replace(b"{", b"{" + json.dumps({key: value})[1:-1].encode() + b",", 1)


DOUBLES: tuple[tuple[str, object], ...] = (
    ("version", 0),
    ("role", "joiner"),
    ("methods", ["none"]),
    ("certificate", N2.certificate),
    ("certificate", HIS.certificate),
    ("name", "n1"),
    ("of a newer version", 1),
)


@pytest.mark.parametrize(("key", "value"), DOUBLES)
def test_a_key_said_twice_has_no_meaning(key: str, value: object):
    def twice(said: bytes) -> bytes:
        return doubled(said if key in said.decode() else doubled(said, key, value), key, value)

    with seat() as here:
        with dial("127.0.0.1", here.port) as line, pytest.raises(errors.McloudError):
            line.send(twice(hello("joiner", HIS)))
            line.receive(timeout=5)
        assert isinstance(here.outcome(), errors.ProtocolError)
    with (
        posing(lambda line: line.send(twice(hello("initiator", HIS)))) as port,
        pytest.raises(errors.ProtocolError),
    ):
        join(port)


def test_the_last_of_two_would_count():
    lax = mutant(shape, ("if len(shape) < len(pairs):", "if False:"))
    said = doubled(hello("joiner", HIS), "name", "n7")
    assert lax.shape_of(said)["name"] == "n9"
    with pytest.raises(errors.ProtocolError):
        protocol.decode(said, protocol.Hello)


def test_a_message_of_many_mistakes_has_a_short_error():
    """3.6 kB of it had 196 kB of errors, with what was sent in them."""
    lines = ",".join('{"key":7,"to_do":"tulip"}' for _ in range(140))
    said = f'{{"type":"outlook","lines":[{lines}],"digest":"tulip"}}'.encode()
    assert len(said) > 3600
    with pytest.raises(errors.ProtocolError, match="mistakes") as refused:
        protocol.decode(said, protocol.Outlook)
    assert len(f"{refused.value} {refused.value.hint}") < 300
    assert "tulip" not in f"{refused.value} {refused.value.hint}"


# ---- out of turn -------------------------------------------------------------------------------------------


def orders(said: dict[str, bytes]) -> Iterator[list[bytes]]:
    """Yield what may be said too early, too late, or twice."""
    yield [said["share"]]
    yield [said["confirmation"]]
    yield [said["hello"], said["hello"]]
    yield [said["hello"], said["confirmation"]]
    yield [said["hello"], said["share"], said["share"]]
    yield [said["hello"], said["share"], said["hello"]]


@pytest.mark.parametrize("number", range(6))
def test_out_of_turn_is_refused(number: int):
    words = {"hello": hello("joiner", HIS), "share": side("A", RIGHT).share, "confirmation": b"\0" * 32}
    with seat() as here:
        replay(here.port, list(orders(words))[number])
        assert isinstance(here.outcome(), errors.ProtocolError | errors.TrustError)
        assert here.pinned == []


def test_an_initiator_that_goes_on_after_trust_is_not_pinned():
    def talk(line: Connection) -> None:
        with dial("127.0.0.1", target) as onward:
            for _ in range(3):
                onward.send(line.receive(timeout=5))
                line.send(onward.receive(timeout=5))
            line.send(b"and one thing more")
            line.receive(timeout=5)

    with seat() as here, posing(talk, N1) as port:
        target = here.port
        with pytest.raises(errors.ProtocolError, match="went on talking"):
            join(port)


def test_two_guesses_on_one_line_are_not_to_be_had():
    with seat() as here, dial("127.0.0.1", here.port) as line:
        spend(line, WRONG)
        assert isinstance(here.outcome(), errors.TrustError)
        with pytest.raises(errors.McloudError):
            spend(line, RIGHT)
        assert here.pinned == []


def test_who_is_pinned_already_can_not_be_pinned_by_another_key_in_its_name():
    """A second machine of one name is another machine: it does not take the first one's place."""
    with seat() as here:
        join(here.port)
        here.outcome()
        ended = meanwhile(lambda: join(here.port, joiner(HIS), code=CODE))
        assert here.outcome() is None
        assert ended() is None
        assert sorted(guest.fingerprint for guest in here.initiator.lobby.all()) == sorted(
            [N2.fingerprint, HIS.fingerprint]
        )
