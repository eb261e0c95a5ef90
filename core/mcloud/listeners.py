"""Who listens on this machine's TCP ports, as ss(8) tells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from mcloud.errors import CommandError
from mcloud.host import Host

SECONDS = 30

_HOLDER = re.compile(r'"(?P<program>[^"]*)",pid=(?P<pid>\d+)')
"""Of `users:(("nginx",pid=512,fd=6))`: shown to root only, and not where the kernel itself listens."""

_EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104 - what others bind to


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A program that takes connections: at one address of this machine, or at all (`*`, `0.0.0.0`, `::`)."""

    address: str
    port: int
    program: str = ""
    """Its name, as the kernel keeps it: 15 characters at most; "" if it cannot be told."""
    pid: int = 0

    def keeps_out(self, address: str) -> bool:
        """Whether nobody else can listen at this address on its port."""
        if self.address in {address, "*"}:
            return True
        alike = self.address in _EVERYWHERE
        return alike and ip_address(self.address).version == ip_address(address).version

    @property
    def words(self) -> str:
        """Name it, for a message: `nginx (process 512) at 0.0.0.0`."""
        who = f"{self.program} (process {self.pid})" if self.pid else "somebody"
        return f"{who} at {'all addresses' if self.address == '*' else self.address}"


def listeners(host: Host) -> Sequence[Listener]:
    """Return all who listen on TCP ports of a machine; none where there is no ss(8) to tell."""
    try:
        shown = host.run(["ss", "--no-header", "-ltnp"], check=False, seconds=SECONDS).stdout
    except CommandError:
        return ()
    return tuple(found for line in shown.splitlines() if (found := _listener(line)) is not None)


def holder(found: Sequence[Listener], port: int, address: str) -> Listener | None:
    """Return who of these keeps others from listening at an address and port; None if it is free."""
    return next((one for one in found if one.port == port and one.keeps_out(address)), None)


def _listener(line: str) -> Listener | None:
    """Read a line such as `LISTEN 0 128 [fd00::1]:8443 *:* users:(("lxd",pid=260,fd=9))`."""
    words = line.split()
    if len(words) < 5:  # noqa: PLR2004 - state, two queues, two ends
        return None
    address, _, port = words[3].rpartition(":")
    if not port.isdigit():
        return None
    named = _HOLDER.search(line)
    return Listener(
        address=address.strip("[]").partition("%")[0].strip("[]"),
        port=int(port),
        program=named["program"] if named else "",
        pid=int(named["pid"]) if named else 0,
    )
