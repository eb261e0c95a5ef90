"""What all processes of the session benchmark share: an invented service, machines, a bare handshake."""

import socket
import ssl
from pathlib import Path

from pydantic import SecretStr

from mcloud import API, Manifest, Step, hookimpl
from mcloud.model import Disk, Nic, Node, Survey
from mcloud.plugins import Plugins
from mcloud.session import trust

CODE = SecretStr("acorn blimp crisp dove")


class Service:
    """A service of two steps on each machine, so that there is a plan to make and to compare."""

    @hookimpl
    def manifest(self) -> Manifest:
        """Say what this is."""
        return Manifest(api=API, summary="Invented")

    @hookimpl
    def join(self, node: Node) -> list[Step]:
        """Write two files."""
        return [Step(name=f"{part}-{node.name}", run=_nothing, probe=_nothing) for part in ("one", "two")]

    @hookimpl
    def adapt(self, nodes: tuple[Node, ...]) -> list[Step]:
        """Write the roster."""
        return [Step(name=f"roster-of-{len(nodes)}", run=_nothing, probe=_nothing)]


def _nothing(_ctx: object) -> None:
    return None


def plugins() -> Plugins:
    """Return the plugins of every machine."""
    return Plugins.of(words=trust, service=Service())


def node_of(number: int, fingerprint: str) -> Node:
    """Return a machine with a survey of an ordinary size; number 0 is the initiator."""
    disks = [
        Disk(device=f"/dev/sd{letter}", size=2**40, links=(f"/dev/disk/by-id/wwn-{letter}",))
        for letter in "abcdef"
    ]
    nics = [Nic(name=f"eth{index}", mac=f"02:00:00:00:00:0{index}") for index in range(4)]
    return Node(
        name=f"n{number}",
        addresses=(source(number),),
        fingerprint=fingerprint,
        survey=Survey(distribution="debian-12", cpus=16, memory=2**36, disks=tuple(disks), nics=tuple(nics)),
        founder=number == 0,
    )


def source(number: int) -> str:
    """Return an address of loopback; each is a source of its own."""
    return f"127.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def finish(context: ssl.SSLContext, sock: socket.socket, *, server: bool) -> None:
    """Shake hands, then wait for the other side's end."""
    with context.wrap_socket(sock, server_side=server) as line:
        line.settimeout(20)
        if server:
            line.sendall(b"x")
        else:
            line.recv(1)


def kept(field: str) -> float:
    """Return a figure of /proc/self/status in MiB: `VmHWM` is the peak of the memory that was in use."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
