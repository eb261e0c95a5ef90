"""Who listens where on the lab's machines, and what can be read on their wires."""

import json
import re
import sys

from mcloud.lab import Lab, Machine

WORDS = "whoever listens can read this. "
CAPTURE = """
import json, select, socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))  # ETH_P_ALL
words, frames, read = sys.argv[1].encode(), 0, False
print("ready", flush=True)
while True:
    ready, _, _ = select.select([wire, sys.stdin], [], [])
    if wire not in ready:
        break
    frame, (interface, *_) = wire.recvfrom(65536)
    if interface != "lo":
        frames, read = frames + 1, read or words in frame
print(json.dumps([frames, read]))
"""
"""Counts frames on all wires until its input ends, and says whether words were among them (packet(7))."""


def listening(machine: Machine, program: str) -> set[tuple[str, int]]:
    """Return address and port of all TCP sockets on which programs listen whose name begins so."""
    found = set()
    for line in machine.run(["ss", "-Hltnp"]).stdout.splitlines():
        address, _, port = line.split()[3].rpartition(":")
        if re.search(rf'"{program}', line):
            found.add((address.strip("[]").partition("%")[0], int(port)))
    return found


def is_read_on_the_wire(lab: Lab, *, writer: str, listener: str) -> bool:
    """Write an object on one machine that is kept on another, too; say whether it can be read on the way."""
    argv = [sys.executable, "-I", "-S", "-c", CAPTURE, WORDS * 2]
    with lab.machine(listener).popen(argv, stdin=-1, stdout=-1, text=True) as capture:
        assert capture.stdout.readline() == "ready\n"
        put = ["rados", "--pool", "remote", "put", "words", "-"]
        lab.machine(writer).run(put, input=WORDS * 5000, timeout=60)
        frames, read = json.loads(capture.communicate()[0])
    assert frames > len(WORDS) * 5000 / 1500, "too few frames for the object to have been on this wire"
    return read
