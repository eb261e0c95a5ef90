"""How far an OSD has come on its way up, by its own word."""

from mcloud import Host
from mcloud_ceph import client

_WAY = ("initializing", "preboot", "booting", "active")
"""What an OSD calls its states, in the order in which it goes through them (OSD.h); the last one once the
monitors have marked it up."""

UP = len(_WAY)


def way_of(host: Host, number: str) -> int:
    """Return how far an OSD of this machine has come: `UP` at the end, 0 if it does not answer."""
    status = client.daemon(host, f"osd.{number}", "status")
    state = str(status["state"]) if status else ""
    return 1 + _WAY.index(state) if state in _WAY else 0
