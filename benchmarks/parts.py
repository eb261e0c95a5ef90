"""What a way of forming a cloud took, part by part."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Work for one service on one machine; times are seconds of the clock, comparable on all machines."""

    service: str
    machine: str
    what: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """One cloud, formed: from the command to its end, and on until the proof first holds."""

    began: float
    ended: float
    parts: Sequence[Part]
    own: Mapping[str, float] = field(default_factory=dict)
    """mcloud's own share, by when: seconds in which no step of any service was in hand on any machine."""
    unproven: float = 0.0
    """Seconds after the end until the proof held."""
    missed: Sequence[str] = ()
    """What the last look before found amiss."""
    late: float = 0.0
    """Seconds from then until the last manager stood by; not counted."""

    @property
    def seconds(self) -> float:
        """The time that counts."""
        return self.ended - self.began + self.unproven


def spans(parts: Iterable[Part]) -> list[tuple[float, float]]:
    """Return the times in which any of the parts was in hand, in order and without overlap."""
    merged: list[tuple[float, float]] = []
    for began, ended in sorted((part.began, part.ended) for part in parts):
        if merged and began <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ended))
        else:
            merged.append((began, ended))
    return merged


def busy(parts: Iterable[Part]) -> float:
    """Return in how many seconds any of the parts was in hand."""
    return sum(ended - began for began, ended in spans(parts))


def by_service(parts: Sequence[Part]) -> Mapping[str, float]:
    """Return for each service in how many seconds any part of it was in hand; they may overlap."""
    services = sorted({part.service for part in parts})
    return {service: busy(part for part in parts if part.service == service) for service in services}
