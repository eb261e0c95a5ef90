"""Discovery by DNS-SD over multicast DNS: the initiator is found on the machines' own network."""

from mcloud import API, Manifest, hookimpl


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(api=API, summary="Finds the initiator on the local network, by multicast DNS")
