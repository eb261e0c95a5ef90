"""Every wait in the code has an end: those without a time limit are listed here, each with what ends it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WITHOUT_ARGUMENT = frozenset(
    {
        "wait", "join", "get", "result", "exception", "acquire", "receive", "communicate", "poll", "accept",
    }
)  # fmt: skip
"""Methods that wait for ever where nothing is given: of threads, events, queues, futures, locks, programs."""
STARTS = frozenset({"run", "call", "check_call", "check_output"})
"""Functions of `subprocess` that wait for the end of a program."""
POOLS = frozenset({"ThreadPoolExecutor", "ProcessPoolExecutor"})
"""They wait for all that they began, when they are closed and when the program ends."""

ALLOWED = {
    "core/mcloud/bundle.py write_bundle: answer.exception()": "it has ended: all parts were waited for",
    "core/mcloud/bundle.py write_bundle: answer.result()": "it has ended",
    "core/mcloud/calls.py within: made.result()": "it has ended",
    "core/mcloud/crew.py result: future.result()": "it has ended",
    "core/mcloud/reset.py carry_out: ended.result()": "it has ended",
    "core/mcloud/process.py _kill: select.poll()": "it makes an object",
    "core/mcloud/opendevice.py _more: select.poll()": "it makes an object",
    "core/mcloud/process.py run_program: child.wait()": "its end was seen, or it was killed",
    "core/mcloud/session/accept.py _take: self._socket.accept()": "the socket waits for nothing",
    "core/mcloud/session/accept.py must_begin_like_tls: readable.wait()": "the door gives it `limits.tls`",
    "core/mcloud/session/booking.py receive: self._channel.receive()": "a stranger's has a deadline",
    "core/mcloud/session/door.py _close: self._empty.wait()": "within `_CLOSED_WITHIN`",
    "core/mcloud/session/events.py __init__: ready.wait()": "set whatever becomes of the thread",
    "core/mcloud/session/events.py run: future.result()": "what is run has a deadline: `_open`, `_close`",
    "core/mcloud/session/initiator.py hear: connection.receive()": (
        "a thread for each joiner, which nobody waits for: `minding.py` cuts off who does not get on"
    ),
    "core/mcloud/session/mailbox.py hand_over: self._changed.wait_for(...)": (
        "`pulse.py` ends the connection to who takes nothing for too long"
    ),
    "core/mcloud/session/transport.py _open: done.wait()": "within `limits.tls`",
    "core/mcloud/session/trust.py _initiate: channel.receive()": "a stranger's connection has a deadline",
    "core/mcloud/session/trust.py _join: channel.receive()": "a stranger's connection has a deadline",
    "core/mcloud/testing/network.py _accept: self._listening.accept()": "in a daemon thread of the kit",
    "core/mcloud/testing/network.py _pass_on: source.settimeout(...)": "in a daemon thread of the kit",
    "core/mcloud/testing/stillness.py _look: _watched.get()": "a variable of the context",
    "core/mcloud/testing/stillness.py noted: _watched.get()": "a variable of the context",
    "core/mcloud/testing/walk.py _together: ThreadPoolExecutor(...)": "each step in it has an end",
    "core/mcloud/testing/walk.py _together: one.exception()": "each step in it has an end",
    "core/mcloud/lab/devices.py _follow: subprocess.run(...)": "lives as long as its lab machine",
    "core/mcloud/lab/devices.py _written: select.select(...)": "lives as long as its lab machine",
    "core/mcloud/lab/forming.py form: first.wait()": "a command of ours, shown on the screen meanwhile",
    "core/mcloud/lab/forming.py form: process.wait()": "a command of ours, shown on the screen meanwhile",
    "core/mcloud/lab/lab.py _side_by_side: ThreadPoolExecutor(...)": "commands of the lab, with deadlines",
    "core/mcloud/lab/lab.py _side_by_side: outcome.exception()": "commands of the lab, with deadlines",
    "plugins/lxd/mcloud_lxd/everywhere.py _make_pending: ThreadPoolExecutor(...)": "requests with deadlines",
    "plugins/lxd/mcloud_lxd/everywhere.py _make_pending: task.result()": "requests with deadlines",
}
"""What waits without a time limit, by file, function and call, and why that ends."""


def _sources():
    found = [*(ROOT / "core/mcloud").rglob("*.py"), *(ROOT / "plugins").glob("*/mcloud_*/**/*.py")]
    return sorted(found)


def _waits(tree):
    """Yield what may wait for ever: the function it is in, and the call."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Call) and _is_endless(child):
                yield inside, f"{ast.unparse(child.func)}({'...' if child.args or child.keywords else ''})"
            yield from walk(child, child.name if named else inside)

    yield from walk(tree, "")


def _is_endless(call):
    """Whether nothing in a call says how long it waits; what asyncio waits for, somebody waits for here."""
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if method else getattr(call.func, "id", "")
    owner = ast.unparse(call.func.value) if method else ""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    text = ast.unparse(call)
    seen = {
        "settimeout": "settimeout(None)" in text,
        "flock": "LOCK_NB" not in text and "LOCK_UN" not in text,
        "request": "session" in owner and "timeout" not in given,
        "wait_for": owner != "asyncio" and len(call.args) < 2 and "timeout" not in given,
        "select": method and len(call.args) < (4 if owner == "select" else 1),
        **dict.fromkeys(POOLS, True),
        **dict.fromkeys(STARTS, owner == "subprocess" and "timeout" not in given),
        **dict.fromkeys(WITHOUT_ARGUMENT, method and not call.args and not given),
    }
    return seen.get(name, False) or any(_is_none(given.get(word)) for word in ("timeout", "seconds"))


def _is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def _found():
    for path in _sources():
        for inside, call in _waits(ast.parse(path.read_text())):
            yield f"{path.relative_to(ROOT)} {inside}: {call}"


def test_every_wait_has_an_end_or_is_listed_with_what_ends_it():
    assert {*_found()} == {*ALLOWED}


@pytest.mark.parametrize(
    "code",
    [
        "event.wait()", "thread.join()", "queue.get()", "future.result()", "lock.acquire()",
        "connection.receive()", "connection.receive(timeout=None)", "condition.wait_for(there)",
        "subprocess.run(argv)", "child.communicate()", "session.request('GET', url)",
        "select.select([a], [], [])", "selector.select()", "ThreadPoolExecutor(3)", "s.settimeout(None)",
        "fcntl.flock(file, fcntl.LOCK_EX)",
    ],
)  # fmt: skip
def test_what_waits_for_ever_is_seen(code):
    assert [*_waits(ast.parse(code))]


@pytest.mark.parametrize(
    "code",
    [
        "event.wait(1)", "', '.join(words)", "shape.get(key)", "thread.join(GLANCE)", "queue.get(timeout=1)",
        "condition.wait_for(there, 3)", "ctx.wait(look, what='it')", "host.run(argv)", "self.run()",
        "session.request('GET', url, timeout=3)", "select.select([a], [], [], 1)", "selector.select(left)",
        "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    ],
)  # fmt: skip
def test_what_has_an_end_is_let_pass(code):
    assert not [*_waits(ast.parse(code))]
