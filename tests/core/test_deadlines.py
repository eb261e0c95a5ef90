"""One factor for all deadlines: each place where it acts, small factors standing in for long waits."""

import os
import socket
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace

import click
import pytest
import requests
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from mcloud import CommandError, McloudError, Node, RunFailed, ServiceError
from mcloud.answersfile import order_from, tree_of
from mcloud.cli.attend import Way, attend
from mcloud.cli.common import unhurried
from mcloud.cli.main import cli
from mcloud.context import Context
from mcloud.forms import differences, read
from mcloud.forms.answers import Answers
from mcloud.gathering import gathered, proposal
from mcloud.localhost import LocalHost
from mcloud.order import Order, order_of, said
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session.certificates import make_credentials
from mcloud.session.door import Door
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.protocol import Proposal, decode, encode
from mcloud.session.tls import client_context
from mcloud.session.transport import ConnectionLost, Silence, dial

HERE = socket.gethostname().partition(".")[0].lower()
N1, N2 = make_credentials("n1"), make_credentials("n2")
PLUGINS = Plugins.of()

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="commands that change a machine run as root")


@contextmanager
def within(seconds):
    """Fail where something takes longer: the deadline that was meant is far behind that."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


# ---- commands and local sockets --------------------------------------------------------------------------


def test_a_command_has_so_much_more_time():
    assert LocalHost(Secrets(), stretch=1000).run(["sleep", "0.1"], seconds=0.01).ok


def test_a_command_that_was_killed_says_how_long_it_ran_and_how_it_gets_longer():
    with pytest.raises(CommandError, match=r"sleep: still running after 0\.2 s and was killed") as caught:
        LocalHost(Secrets(), stretch=2).run(["sleep", "20"], seconds=0.1)
    assert "if the machine is only slow: --deadlines 4" in caught.value.hint


def test_no_more_is_advised_than_can_be_had():
    with pytest.raises(CommandError) as caught:
        LocalHost(Secrets(), stretch=60).run(["sleep", "20"], seconds=0.001)
    assert "--deadlines 100;" in caught.value.hint


@pytest.mark.parametrize("timeout", [100, (100, 100), (None, 100)])
def test_a_request_has_so_much_more_time(tmp_path, timeout):
    with closing(socket.socket(socket.AF_UNIX)) as deaf:
        deaf.bind(f"{tmp_path}/deaf")
        deaf.listen()
        host = LocalHost(Secrets(), stretch=0.001)
        with within(20), host.http(f"{tmp_path}/deaf") as session, pytest.raises(requests.ReadTimeout):
            session.get("http://localhost/", timeout=timeout)


def test_a_request_without_a_deadline_gets_none():
    """There is nobody to connect to: it ends all the same, and not with a mistake of ours."""
    with LocalHost(Secrets(), stretch=2).http("/nowhere") as session:
        with pytest.raises(requests.ConnectionError):
            session.get("http://localhost/", timeout=None)
        with pytest.raises(requests.ConnectionError):
            session.get("http://localhost/")


# ---- steps -----------------------------------------------------------------------------------------------


def test_a_step_waits_so_much_longer(world, lane, step):
    one = step("a")
    own = lane(one)
    world.host.stretch = 0.001
    context = Context(world.around(own), own, one, doing="run")
    with pytest.raises(ServiceError, match="still waiting for it after 1 s without progress") as caught:
        context.wait(lambda: None, what="it", patience=600)
    assert caught.value.hint.endswith("if the machine is only slow: --deadlines 0.002")


def test_so_it_does_after_each_progress(world, lane, step):
    one = step("a")
    own = lane(one)
    world.host.stretch = 0.0005
    context, figures = Context(world.around(own), own, one, doing="run"), iter([1, 2, 3])
    with within(20), pytest.raises(ServiceError):
        context.wait(lambda: None, what="it", patience=600, progress=lambda: next(figures, None))


def test_the_result_of_a_step_is_looked_for_so_much_longer(world, lane, step):
    lanes = (lane(step("a", run=lambda _ctx: None)),)
    world.host.stretch = 0.001
    world.host.settling = 600.0
    with pytest.raises(RunFailed) as caught, within(20):
        world.run(*lanes)
    (failure,) = caught.value.exceptions
    assert "cannot be seen" in str(failure)
    assert "--deadlines" in failure.hint


# ---- silence between machines ----------------------------------------------------------------------------


def test_times_are_stretched_and_nothing_else():
    assert Limits().stretched(3) == Limits(silence=12.0, tls=15.0, exchange=60.0, stretch=3.0)
    assert Limits().stretched(1) == DEFAULT_LIMITS


def test_a_quick_machine_pings_so_much_more_often():
    """Or the first ping would find that there was silence."""
    assert Limits().stretched(0.1).ping_every == pytest.approx(0.1)


@contextmanager
def door(limits=DEFAULT_LIMITS):
    members = []
    with Door(
        N1, pins=lambda: {N2.fingerprint: N2.certificate}, on_stranger=None,
        on_member=lambda connection, _mark: members.append(connection),
        address="127.0.0.1", port=0, limits=limits,
    ) as made:  # fmt: skip
        yield made.port, members


def mute_member(port):
    """Come in as a member that answers nothing, no ping either."""
    made = client_context(N2).wrap_socket(socket.create_connection(("127.0.0.1", port)))
    made.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return made


def until(condition):
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.005)


def test_a_message_is_waited_for_so_much_longer():
    known = {"credentials": N2, "expect": N1.fingerprint, "limits": Limits(stretch=0.001)}
    said_so = pytest.raises(Silence, match=r"said nothing for 0\.1 s")
    with door() as (port, _members), dial("127.0.0.1", port, **known) as there, within(20), said_so:
        there.receive(timeout=100)


def test_an_open_connection_takes_over_new_limits():
    limits = Limits(ping_every=0.05, silence=1000)
    with door(limits) as (port, members), mute_member(port):
        until(lambda: members)
        members[0].abide(replace(limits, silence=0.2))
        with pytest.raises(ConnectionLost, match="no sign of life"):
            members[0].receive(timeout=20)


@pytest.mark.parametrize(("said", "meant"), [({}, 1.5), ({"deadlines": 4}, 4.0), ({"deadlines": 0.5}, 1.5)])
def test_a_joiner_takes_the_larger_of_its_own_factor_and_the_initiators(said, meant):
    taken = []

    class Line:
        def abide(self, limits):
            taken.append(limits)

        def send(self, _message):
            pass

    joiner = Joiner(PLUGINS, N2, _node("n2"), methods=("words",), deadlines=1.5)
    work = SimpleNamespace(propose=lambda _proposal: ((), "0" * 64))
    joiner.look_out(Line(), work, _proposal(**said))
    assert joiner.deadlines == meant
    assert taken == [joiner.limits] == [DEFAULT_LIMITS.stretched(meant)]


def test_a_joiner_dials_with_that_patience():
    joiner = Joiner(PLUGINS, N2, _node("n2"), methods=("words",), deadlines=0.01)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        peer = Peer("n1", "127.0.0.1", deaf.getsockname()[1], N1.certificate)
        with within(DEFAULT_LIMITS.tls - 1), pytest.raises(ConnectionLost, match="no answer"):
            joiner.come_back(peer, patience=0)


# ---- what is said ----------------------------------------------------------------------------------------


def _node(name):
    return Node(name=name, addresses=(f"10.10.0.1{name[1]}",), founder=name == "n1")


def _order(**more):
    return Order(command="init", cloud="c", services=(), **more)


def _proposal(**more):
    inputs = gathered(_order(), _node("n1"), (), PLUGINS)
    return Proposal(purpose="run", inputs=inputs, **more)


def test_the_initiator_tells_its_factor():
    order = _order(deadlines=2.0)
    sent = encode(proposal(order, gathered(order, _node("n1"), (), PLUGINS)))
    assert decode(sent, Proposal).deadlines == 2.0


def test_who_does_not_say_it_has_none():
    sent = encode(_proposal()).replace(b',"deadlines":1.0', b"")
    assert b"deadlines" not in sent
    assert decode(sent, Proposal).deadlines == 1.0


@pytest.mark.parametrize("factor", [0, -1, 100.5, float("nan"), float("inf")])
def test_no_initiator_can_ask_for_any_patience(factor):
    with pytest.raises(ValidationError):
        _proposal(deadlines=factor)


FILE = f"""\
mcloud: 1
cloud: {{name: home, initiator: {HERE}, network: 10.10.0.0/24, MORE}}
meet: {{code: "acorn blimp crisp dove ember fritz"}}
machines:
  {HERE}: {{address: 10.10.0.11}}
  other-machine: {{address: 10.10.0.12}}
"""


def _preseed(more=""):
    return read(FILE.replace("MORE", more), "cloud.yaml", PLUGINS.manifests, services=())


def test_the_file_says_it():
    assert order_of(_preseed(), command="preseed").deadlines == 1.0
    assert order_of(_preseed("deadlines: 2"), command="preseed").deadlines == 2.0


@pytest.mark.parametrize("wrong", ["0", "-1", "101", ".nan", ".inf", "slow"])
def test_the_file_says_no_nonsense(wrong):
    with pytest.raises(McloudError) as caught:
        _preseed(f"deadlines: {wrong}")
    assert len(caught.value.problems) == 1
    assert "cloud.deadlines" in caught.value.problems[0]


def test_the_same_order_may_be_more_patient():
    usual, patient = _preseed(), _preseed("deadlines: 7")
    assert order_of(usual, command="preseed").digest == order_of(patient, command="preseed").digest
    assert differences(said(usual), said(patient)) == ()
    assert "deadlines" not in said(patient)["cloud"]
    typed = {"name": "c"}
    assert _order(typed=typed).digest == _order(typed=typed, deadlines=7.0).digest


def test_the_kept_answers_say_it():
    nodes, order = (_node("n1"),), _order(deadlines=3.0)
    tree = tree_of(Answers(services=()), PLUGINS, nodes, order, code=SecretStr("acorn blimp crisp dove"))
    assert tree["cloud"]["deadlines"] == 3.0
    assert order_from(tree, PLUGINS, order).deadlines == 3.0
    # What was typed when the session opened counts, whatever is in the tree.
    assert order_from(tree, PLUGINS, replace(order, deadlines=5.0)).deadlines == 5.0
    tree = tree_of(Answers(services=()), PLUGINS, nodes, _order(), code=SecretStr("acorn blimp crisp dove"))
    assert "deadlines" not in tree["cloud"]


# ---- the option ------------------------------------------------------------------------------------------


@click.command()
@unhurried
def command(deadlines):
    """Say it."""
    click.echo(deadlines)


@pytest.mark.parametrize(
    ("options", "variable", "said"),
    [
        ((), None, ""),
        (("--deadlines", "2"), None, "2.0"),
        ((), "1.5", "1.5"),
        (("--deadlines", "2"), "1.5", "2.0"),
        (("--deadlines", "0.5"), None, "0.5"),
    ],
)
def test_it_is_an_option_or_a_variable(options, variable, said):
    done = CliRunner(env={"MCLOUD_DEADLINES": variable}).invoke(command, options)
    assert done.output == f"{said}\n"


@pytest.mark.parametrize("wrong", ["0", "-2", "101", "nan", "inf", "slow"])
def test_no_nonsense_is_taken(wrong):
    done = CliRunner().invoke(command, ["--deadlines", wrong])
    assert done.exit_code == 2
    assert "--deadlines" in done.output


class SeenError(McloudError):
    """Ends a command where it has what it works with."""


@pytest.fixture
def caught(monkeypatch, tmp_path):
    """Return a function: it runs a command up to a function of its module; it returns what that got."""

    def run(module, function, *arguments, variable=None):
        given = []

        def end(*args, **_named):
            given.extend(args)
            raise SeenError("that will do")

        monkeypatch.setattr(f"mcloud.cli.{module}.{function}", end)
        env = {"MCLOUD_STATE": str(tmp_path / "state"), "MCLOUD_DEADLINES": variable}
        done = CliRunner(env=env).invoke(cli, [str(one) for one in arguments])
        assert "that will do" in done.output, done.output
        return given

    return run


def _kind(given, kind):
    return next(one for one in given if type(one).__name__ == kind)


WHERE = [
    ("init", "unfinished", ("init", "--discovery", "static")),
    ("join", "_address", ("join", "--discovery", "static")),
    ("undo", "_latest", ("undo",)),
    ("reset", "_reset", ("reset", "--plan")),
]


@needs_root
@pytest.mark.parametrize(("module", "function", "words"), WHERE, ids=[one[0] for one in WHERE])
def test_each_command_hands_it_down(caught, module, function, words):
    assert _kind(caught(module, function, *words, "--deadlines", 3), "Here").host.stretch == 3.0
    assert _kind(caught(module, function, *words, variable="4"), "Here").host.stretch == 4.0
    assert _kind(caught(module, function, *words), "Here").host.stretch == 1.0


@needs_root
def test_init_tells_it_to_the_others(caught):
    order = _kind(caught("init", "unfinished", "init", "--discovery", "static", "--deadlines", 3), "Order")
    assert order.deadlines == 3.0


@pytest.fixture
def cloud_file(tmp_path):
    def write(more, *, initiator=HERE):
        path = tmp_path / "cloud.yaml"
        path.write_text(FILE.replace("MORE", more).replace(f"initiator: {HERE}", f"initiator: {initiator}"))
        path.chmod(0o600)
        return path

    return write


@needs_root
@pytest.mark.parametrize("word", ["preseed", "plan"])
@pytest.mark.parametrize(
    ("more", "options", "variable", "meant"),
    [
        ("", (), None, 1.0),
        ("deadlines: 2", (), None, 2.0),
        ("deadlines: 2", ("--deadlines", 3), None, 3.0),
        ("deadlines: 2", ("--deadlines", 1), None, 1.0),
        ("deadlines: 2", (), "5", 5.0),
    ],
)
def test_the_option_counts_more_than_the_file(caught, cloud_file, word, more, options, variable, meant):
    given = caught("preseed", "lead", word, cloud_file(more), *options, variable=variable)
    assert _kind(given, "Here").host.stretch == meant
    assert _kind(given, "Order").deadlines == meant
    assert _kind(given, "Order").digest == order_of(_preseed(), command="preseed").digest


@needs_root
def test_a_joiner_with_a_file_has_it_too(caught, cloud_file):
    path = cloud_file("deadlines: 2", initiator="other-machine")
    assert _kind(caught("preseed", "attend", "preseed", path), "Here").host.stretch == 2.0


def test_a_joiner_has_that_patience_from_the_first_packet_on(monkeypatch):
    seen = []

    def end(_screen, _here, joiner, *_rest):
        seen.append(joiner)
        raise SeenError("that will do")

    monkeypatch.setattr("mcloud.cli.attend._attending", end)
    here = SimpleNamespace(
        host=SimpleNamespace(stretch=2.5),
        plugins=PLUGINS,
        credentials=lambda: N2,
        describe=lambda *_args, **_named: _node("n2"),
    )
    with pytest.raises(SeenError):
        attend(
            None, here, command="join", address="10.10.0.12", services=(), way=Way(discovery=()),
            ask_code=None,
        )  # fmt: skip
    assert seen[0].limits == DEFAULT_LIMITS.stretched(2.5)
