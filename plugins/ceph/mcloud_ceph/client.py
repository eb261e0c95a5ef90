"""Typed calls of Ceph's own command; each one bounded in time, since `ceph` waits for a quorum for ever."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mcloud import CommandError, Host, ServiceError
from mcloud_ceph.files import Caps

SECONDS = 30
"""Limit for one answer: some elections of monitors, each 5 s by Ceph's own settings, may lie in between."""

QUICK = 4
"""Limit for the question whether the cluster answers at all."""

Command = Sequence[str]


def tell(host: Host, commands: Sequence[Command], *, seconds: float = SECONDS) -> None:
    """Give the monitors commands, all through one connection; ServiceError names those that were refused."""
    _batch(host, commands, seconds=seconds)


def ask(host: Host, *commands: Command, seconds: float = SECONDS) -> Sequence[Any]:
    """Return the answers to commands that answer in JSON, all through one connection."""
    text = _batch(host, commands, seconds=seconds).strip()
    answers, decoder = list[Any](), json.JSONDecoder()
    try:
        while text:
            answer, end = decoder.raw_decode(text)
            answers.append(answer)
            text = text[end:].lstrip()
    except json.JSONDecodeError:
        # Its own text is not shown: there may be keys in it.
        raise ServiceError("ceph gave an answer that is not JSON") from None
    if len(answers) != len(commands):
        raise ServiceError(f"ceph gave {len(answers)} answers to {len(commands)} questions")
    return answers


def connecting(host: Host, seconds: float) -> Sequence[str]:
    """Return the arguments by which a command of Ceph's gives up by itself, before it is killed."""
    return ("--connect-timeout", str(max(1, int(seconds * host.stretch))))


def _batch(host: Host, commands: Sequence[Command], *, seconds: float) -> str:
    """Run commands as ceph(8) reads them from standard input; keys among them stay out of the arguments."""
    done = host.run(
        ["ceph", *connecting(host, seconds * 0.8), "--format", "json"],
        stdin="".join(shlex.join(command) + "\n" for command in commands),
        seconds=seconds,
    )
    # This mode ends with status 0 whatever happens; a refusal is a line that begins with "Error".
    refused = [line for line in done.stderr.splitlines() if line.startswith(("Error ", "error handling"))]
    if refused:
        what = " ".join(commands[0][:3]) if len(commands) == 1 else f"{len(commands)} commands"
        raise ServiceError(f"ceph refused ({what}): {'; '.join(refused)}")
    return done.stdout


def answers(host: Host) -> bool:
    """Say whether a quorum of monitors answers this machine, quickly."""
    try:
        ask(host, ["quorum_status"], seconds=QUICK)
    except ServiceError:
        return False
    return True


def lets_in(host: Host, entity: str, keyring: str) -> bool:
    """Say whether the monitors know an entity by the key in a file."""
    who = ["--name", entity, "--keyring", keyring]
    return host.run(["ceph", *who, *connecting(host, 10), "fsid"], check=False, seconds=15).ok


def daemon(host: Host, name: str, prefix: str, **arguments: object) -> Any:
    """Ask one daemon of this machine by its own socket, which needs no quorum; None if it does not answer.

    `ceph daemon` does the same, but loads for 0.2 s each time, and we wait for daemons with this.
    """
    words = json.dumps({"prefix": prefix, "format": "json", **arguments})
    given = (str(5 * host.stretch), f"/run/ceph/ceph-{name}.asok", words)
    argv = ["/usr/bin/python3", "-I", "-S", "-c", _ASK_SOCKET, *given]
    try:
        return json.loads(host.run(argv, check=False, seconds=10).stdout or "null")
    except (CommandError, json.JSONDecodeError):
        return None


_ASK_SOCKET = """
import socket, struct, sys
with socket.socket(socket.AF_UNIX) as to:
    to.settimeout(float(sys.argv[1]))
    to.connect(sys.argv[2])
    to.sendall(sys.argv[3].encode() + b"\\0")
    answer = to.makefile("rb")
    size, = struct.unpack(">I", answer.read(4))
    sys.stdout.buffer.write(answer.read(size))
"""
"""Protocol of Ceph's admin sockets: JSON and a zero byte there, length and answer back (admin_socket.cc)."""


def get_or_create_key(host: Host, entity: str, caps: Caps) -> str:
    """Return the key of a daemon or client, made if there is none."""
    words = ["auth", "get-or-create", entity, *(word for pair in caps.items() for word in pair)]
    return key_in(ask(host, words)[0])


def key_in(answer: Any) -> str:
    """Return the key in the answer of an `auth` command."""
    return str(answer[0]["key"])


def config(host: Host, *, seconds: float = SECONDS) -> Mapping[tuple[str, str], str]:
    """Return the options kept in the cluster, by (who, name)."""
    return options(ask(host, ["config", "dump"], seconds=seconds)[0])


def options(dump: Any) -> Mapping[tuple[str, str], str]:
    """Return what `config dump` answers, by (who, name)."""
    return {(option["section"], option["name"]): option["value"] for option in dump}


def set_options(options: Mapping[tuple[str, str], str]) -> Sequence[Command]:
    """Return the commands that keep options in the cluster; running daemons follow at once."""
    return [("config", "set", who, name, value) for (who, name), value in options.items()]


def drop_options(options: Mapping[tuple[str, str], str]) -> Sequence[Command]:
    """Return the commands that bring Ceph's own defaults back."""
    return [("config", "rm", who, name) for who, name in options]
