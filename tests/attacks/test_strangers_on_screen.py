"""Without the code, but with words that make sense: strangers do not fill an operator's screen."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from honest import N1, N2, until
from kit import HIS, WORDS, guess_as_joiner, hello

from mcloud import API, Manifest, errors, hookimpl
from mcloud.hosting import Hosting
from mcloud.meeting import Meeting
from mcloud.model import Node
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session import trust
from mcloud.session.transport import dial
from mcloud.state import State
from mcloud.testing import Scripted, memory_folder

LINES = 2
"""For a first and a tenth failure."""


class Silent:
    """A discovery plugin that tells nobody."""

    @hookimpl
    def manifest(self):
        return Manifest(api=API, summary="Silent")

    @hookimpl
    @contextmanager
    def announce(self):
        yield


@contextmanager
def meeting() -> Iterator[tuple[Meeting, Scripted]]:
    """Open an initiator's session, with its operator's screen."""
    plugins, known, operator = Plugins.of(words=trust, silent=Silent()), Secrets(), Scripted()
    node = Node(name="n1", addresses=("10.0.0.1",), fingerprint=N1.fingerprint, founder=True)
    order = Order(
        command="init", cloud="c", discovery=("silent",), services=(), patience=10, port=0, code=None
    )
    with memory_folder() as folder:
        made = Meeting(
            plugins=plugins,
            state=State(folder),
            known=known,
            credentials=N1,
            node=node,
            order=order,
            operator=operator,
            hosting=Hosting(plugins, State(folder), known, lambda _happening: None, operator.notice),
            listen="127.0.0.1",
        )
        with made.session({}, None):
            yield made, operator


def visit(port: int, said: bytes) -> None:
    """Say one thing and hang up, once it was heard."""
    with suppress(errors.McloudError), dial("127.0.0.1", port, patience=5) as line:
        line.send(said)
        line.receive(timeout=5)


def long_version() -> bytes:
    return json.dumps(json.loads(hello("joiner", HIS)) | {"version": 10**3000}).encode()


def test_hellos_that_hang_up_are_told_of_once_then_for_the_tenth_time():
    with meeting() as (made, operator):
        begun = len(operator.notices)
        for _ in range(20):
            visit(made.port, hello("joiner", N2))
        until(lambda: len(operator.notices) - begun >= LINES)
        for _ in range(20):
            visit(made.port, hello("joiner", N2))
        told = operator.notices[begun:]
        assert len(told) == LINES, told
        assert all("127.0.0.1" in line for line in told)


def test_a_version_of_three_thousand_digits_is_shown_nowhere():
    with meeting() as (made, operator):
        begun = len(operator.notices)
        for _ in range(20):
            visit(made.port, long_version())
        until(lambda: len(operator.notices) - begun >= LINES)
        told = operator.notices[begun:]
        assert len(told) == LINES
        assert max(map(len, told)) < 300


def test_a_wrong_code_is_one_line_and_no_second_for_the_way_it_ended():
    """Also where he hangs up as soon as he has the initiator's share."""
    with meeting() as (made, operator):
        begun = len(operator.notices)
        for confirm in (True, False):
            guess_as_joiner(made.port, WORDS[1], confirm=confirm)
        until(lambda: made.initiator.book.failures == 2)
        visit(made.port, b"nonsense")
        until(lambda: len(operator.notices) - begun >= 2)
        told = operator.notices[begun:]
        assert ["wrong code" in line for line in told] == [True, False], told
