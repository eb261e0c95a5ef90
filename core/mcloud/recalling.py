"""A run that is done, though not all have heard it: who fell behind comes after, and then hears the end."""

import math
import time
from collections.abc import Collection, Mapping
from typing import Any

from mcloud.errors import McloudError
from mcloud.headway import Headway
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.minding import part_within
from mcloud.session.lobby import Guest
from mcloud.session.protocol import Go
from mcloud.state import State
from mcloud.waits import waited_for

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
    hosting: Hosting, inputs: Inputs, cloud: Mapping[str, Any], patience: float, *, stretch: float
) -> float:
    """Have those that are awaited adapt, in which they may have failed; who has done it says so at once.

    Who is here may take its time, as long as another step comes to its end on any of them now and then; for
    who is away we wait `patience` seconds. Returns how many of those are left for the goodbyes. Raises
    McloudError if the session is ended meanwhile.
    """
    assert hosting.initiator is not None and hosting.journal is not None  # noqa: S101, PT018 - it has begun
    initiator, begun, names = hosting.initiator, time.monotonic(), awaited(hosting.journal)
    lobby, headway = initiator.lobby, Headway(part_within() * stretch, math.inf)
    initiator.news = Go(stage="adapt", inputs=inputs, facts=cloud.get("facts", {}))
    initiator.enter("adapt")

    def late(guest: Guest) -> bool:
        settled = "adapt" in guest.done or guest.standing in {"failed", "refused", "parted"}
        return guest.name in names and not settled

    with waited_for(" and ".join(sorted(names))):
        while True:
            left = patience - (time.monotonic() - begun)
            with lobby.changed:
                missing = [guest for guest in lobby.all() if late(guest)]
                headway.note(sum(hosting.hearsay.ended(guest.name) for guest in lobby.all()))
                if (
                    not missing
                    or headway.over
                    or (left <= 0 and all(guest.standing != "here" for guest in missing))
                ):
                    return min(patience, max(left, AT_LEAST))
                if initiator.farewell is not None:
                    raise McloudError(f"the session is over: {initiator.farewell.reason}")
                lobby.changed.wait(0.5)
