"""Form the cloud by the plain script beside this file, and take the time of each of its parts."""

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from parts import Formed, Part

from mcloud.errors import ServiceError
from mcloud.lab import Lab

SCRIPT = Path(__file__).with_name("plain.sh")
PATIENCE = 600
"""Seconds; it takes one minute on two processors."""


def form(lab: Lab) -> Formed:
    """Run the script to its end. ServiceError with its last words if it fails."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as times:
        began = time.time()
        with subprocess.Popen(
            [str(SCRIPT)],
            env=_environment(lab, times=times.name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as script:
            try:
                said, _ = script.communicate(timeout=PATIENCE)
            finally:
                script.kill()
        ended = time.time()
        parts = _parts(times.read().splitlines(), ended=ended)
    if script.returncode != 0:
        doing = f"{parts[-1].service} {parts[-1].machine} {parts[-1].what}" if parts else "nothing"
        raise ServiceError(
            f"the plain script failed at: {doing}", hint="\n".join(said.strip().splitlines()[-15:])
        )
    return Formed(began=began, ended=ended, parts=parts)


def _environment(lab: Lab, *, times: str) -> dict[str, str]:
    """Tell the script of the machines: how a command gets to each, and its addresses."""
    machines = [lab.machine(name) for name in lab.names()]
    said = {"MACHINES": " ".join(machine.name for machine in machines), "TIMES": times}
    for machine in machines:
        said[f"ON_{machine.name}"] = shlex.join(machine.argv([]))
        said[f"ADDRESS_{machine.name}"] = machine.address
        underlay = next(nic for nic in machine.layout.nics if nic.name == "eth2")
        said[f"TUNNEL_{machine.name}"] = " ".join(underlay.addresses)
    return {**os.environ, **said}


def _parts(lines: Sequence[str], *, ended: float) -> list[Part]:
    """Read the script's lines, each of which begins a part and ends the one before."""
    begun = [line.split("\t") for line in lines]
    begun.append([str(ended), "", "", ""])
    return [
        Part(service=service, machine=machine, what=what, began=float(at), ended=float(following[0]))
        for (at, service, machine, what), following in pairwise(begun)
    ]
