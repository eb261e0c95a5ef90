"""What runs where just now: one line per machine and service, and how long each part took."""

import time
from dataclasses import dataclass, field

from mcloud.watch import Happening


@dataclass
class _Lane:
    step: str = ""
    text: str = ""
    since: float = field(default_factory=time.monotonic)
    done: int = 0
    seconds: float = 0.0
    failed: bool = False


class Lanes:
    """Keeps the last word of each lane; the caller keeps threads apart."""

    def __init__(self) -> None:
        """Begin with nothing running."""
        self._lanes: dict[tuple[str, str], _Lane] = {}

    def note(self, happening: Happening) -> None:
        """Take note of one happening."""
        lane = self._lanes.setdefault((happening.machine, happening.plugin), _Lane())
        if happening.what == "report":
            lane.text = happening.text
        elif happening.what in {"started", "waiting"}:
            lane.step, lane.text, lane.since = happening.step, "", time.monotonic()
            if happening.what == "waiting":
                lane.text = "waiting"
        else:
            lane.failed |= happening.what == "failed"
            lane.done += 1
            lane.seconds += happening.seconds
            lane.step = ""

    def lines(self) -> list[str]:
        """Return one line per machine and service."""
        return [
            f"{machine:12} {plugin:8} {self._now(lane)}"
            for (machine, plugin), lane in sorted(self._lanes.items())
        ]

    def shares(self) -> list[tuple[str, str, int, float]]:
        """Return machine, service, steps and the seconds spent in them; the longest first."""
        rows = [(m, p, lane.done, lane.seconds) for (m, p), lane in self._lanes.items() if lane.seconds > 0]
        return sorted(rows, key=lambda row: -row[3])

    def _now(self, lane: _Lane) -> str:
        if lane.failed:
            return "failed"
        if lane.step:
            return f"{lane.step} {time.monotonic() - lane.since:5.1f} s {lane.text}"
        return f"{lane.done} steps done"
