"""Forming a cloud in the lab: one file for all machines, `mcloud preseed` typed on each."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from mcloud.lab.lab import Lab
from mcloud.lab.machine import Machine
from mcloud.session.code import make_code

FILE = "/root/cloud.yaml"
CODE = "/root/mcloud.code"
"""Where a file for the lab has its code: `meet: {code_file: /root/mcloud.code}`."""
LOG = "/root/mcloud.log"


def hand_out(lab: Lab, text: str, names: Sequence[str] = ()) -> None:
    """Give every machine the same file, and the same fresh code beside it, readable by root alone."""
    code = make_code(6).get_secret_value()
    for name in names or lab.names():
        for path, content in ((FILE, text), (CODE, code + "\n")):
            lab.machine(name).run(["sh", "-c", f"umask 077; cat > {path}"], input=content)


def begin(machine: Machine, *options: str, verb: str = "preseed") -> "subprocess.Popen[str]":
    """Type the command on one machine; what it says goes to a log there."""
    return machine.popen(
        ["sh", "-c", f'umask 077; exec "$@" >>{LOG} 2>&1 </dev/null', "sh", "mcloud", verb, *options, FILE]
    )


def form(lab: Lab, text: str, *, options: Sequence[str] = (), verb: str = "preseed") -> Mapping[str, int]:
    """Form a cloud of all machines of a lab and return each machine's exit status.

    The first machine's screen is this process's; the others' lines are kept in a log on each.
    """
    names = lab.names()
    hand_out(lab, text)
    others = {name: begin(lab.machine(name), *options, verb=verb) for name in names[1:]}
    terminal = f"TERM={os.environ.get('TERM', 'dumb')}"
    first = lab.machine(names[0]).popen(["env", terminal, "mcloud", verb, *options, FILE])
    return {names[0]: first.wait(), **{name: process.wait() for name, process in others.items()}}
