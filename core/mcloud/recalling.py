"""A run that is done, though not all have heard it: who fell behind comes after, and then hears the end."""

import time
from collections.abc import Collection, Mapping
from typing import Any

from mcloud.errors import McloudError
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.session.initiator import Initiator
from mcloud.session.lobby import Guest
from mcloud.session.protocol import Go
from mcloud.state import State

LAST_WORDS = 60.0
"""Seconds to wait for those that are away when all is done: they only have the record to fetch."""
AT_LEAST = 5.0
"""Seconds left for the goodbyes, however long somebody was waited for before: enough to dial once more."""


def awaited(journal: Journal) -> Collection[str]:
    """Return the names of joiners that have not heard the end."""
    return {node["name"] for node in journal.inputs["nodes"][1:]} - journal.parted


def untold(journal: Journal, state: State, name: str) -> Mapping[str, Any] | None:
    """Return the cloud's record if all was done on its initiator and not all have heard it, else None."""
    done = journal.settled(f"close/core/{name}/{name}/record")
    return state.read_cloud() if done and not journal.finished else None


def bring_after(
    initiator: Initiator, inputs: Inputs, cloud: Mapping[str, Any], journal: Journal, patience: float
) -> float:
    """Have those that are awaited adapt, in which they may have failed; who has done it says so at once.

    Who is here may take its time; for who is away we wait `patience` seconds. Returns how many of them
    are left for the goodbyes. Raises McloudError if the session is ended meanwhile.
    """
    begun, lobby, names = time.monotonic(), initiator.lobby, awaited(journal)
    initiator.news = Go(stage="adapt", inputs=inputs, facts=cloud.get("facts", {}))
    initiator.enter("adapt")

    def late(guest: Guest) -> bool:
        settled = "adapt" in guest.done or guest.standing in {"failed", "refused", "parted"}
        return guest.name in names and not settled

    while True:
        left = patience - (time.monotonic() - begun)
        with lobby.changed:
            missing = [guest for guest in lobby.all() if late(guest)]
            if not missing or (left <= 0 and all(guest.standing != "here" for guest in missing)):
                return min(patience, max(left, AT_LEAST))
            if initiator.farewell is not None:
                raise McloudError(f"the session is over: {initiator.farewell.reason}")
            lobby.changed.wait(0.5)
