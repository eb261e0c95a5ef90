"""A whole joiner on a network of liars: three guesses of a code in all, however they move themselves."""

import time

import pytest
from honest import CODE, N2, seat
from kit import WORDS, lying, posing
from pydantic import SecretStr

from mcloud import API, Manifest, errors, hookimpl
from mcloud.attending import Attending
from mcloud.choosing import Choosing
from mcloud.looking import Looking
from mcloud.model import Beacon, Node, Search
from mcloud.plugins import Plugins
from mcloud.session import trust
from mcloud.session.joiner import Joiner
from mcloud.session.protocol import VERSION
from mcloud.session.transport import Connection
from mcloud.testing import Scripted


class Air:
    """A discovery plugin on whose network one initiator after another is heard, each when it is its turn."""

    def __init__(self) -> None:
        self.beacons: list[Beacon] = []

    @hookimpl
    def manifest(self):
        return Manifest(api=API, summary="Liars")

    @hookimpl
    def discover(self, search):
        until, heard = time.monotonic() + search.seconds, 0
        while time.monotonic() < until:
            yield from self.beacons[heard:]
            heard = len(self.beacons)
            time.sleep(0.01)

    def say(self, port: int, number: int = 0, mark: str = "") -> None:
        said = {
            "name": "n1",
            "address": "127.0.0.1",
            "port": port,
            "session": f"s{number}",
            "version": VERSION,
        }
        self.beacons.append(Beacon.model_validate({**said, "fingerprint": mark}))


class Person(Scripted):
    """Types the same right code again and again, and gives up when told that it is not used any more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.whys: list[str] = []
        self.most = most

    def code(self, why: str) -> SecretStr:
        self.whys.append(why)
        if "not used any more" in why or "too often" in why or len(self.whys) > self.most:
            raise errors.TrustError("the person gives up")
        return CODE


def attending(air: Air, person: Person, patience: float = 8.0) -> Attending:
    plugins = Plugins.of(words=trust, air=air)
    node = Node(name="n2", addresses=("10.0.0.2",), fingerprint=N2.fingerprint)
    return Attending(
        joiner=Joiner(plugins, N2, node, methods=("words",)),
        notice=person.notice,
        look=lambda: Looking(plugins, ("air",), Search(seconds=patience)),
        choose=Choosing(notice=person.notice, prompter=person, can_ask=False, wanted="", settling=0.05),
        ask_code=person.code,
        patience=patience,
    )


def test_one_liar_that_confirms_wrongly_gets_three_guesses():
    air, person = Air(), Person(10)
    with lying(*WORDS[1:], *WORDS[1:], WORDS[0]) as liar:
        air.say(liar.port)
        with pytest.raises(errors.McloudError):
            attending(air, person).meet()
    assert len(liar.seen) == 3
    assert all(seen.found() == [] for seen in liar.seen)


def test_a_liar_that_takes_the_confirmation_and_begins_new_sessions_gets_no_more():
    """He never says that a word was wrong: he hangs up, and is another session when one looks again."""
    air, person = Air(), Person(20)
    with lying(*WORDS[1:] * 5) as liar:

        def take(line: Connection) -> None:
            liar.take(line)
            line.close()
            air.say(port, len(liar.seen))

        with posing(take) as port:
            air.say(port)
            with pytest.raises(errors.McloudError):
                attending(air, person).meet()
    assert len(liar.seen) == 3
    assert len(person.whys) <= 20


def test_with_the_right_initiator_among_them_the_code_is_typed_and_it_is_in():
    """So that the joiners above could have got in."""
    air, person = Air(), Person(10)
    with seat() as here:
        air.say(here.port, mark=here.initiator.credentials.fingerprint[:16])
        peer = attending(air, person).meet()
    assert peer.fingerprint == here.initiator.credentials.fingerprint
    assert person.whys == [""]
