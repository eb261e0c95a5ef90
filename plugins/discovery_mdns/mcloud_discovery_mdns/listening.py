"""What is heard of initiators: records become beacons, in bounded memory, whatever comes."""

import threading
from dataclasses import dataclass, field

from zeroconf import Error, RecordUpdate, RecordUpdateListener, ServiceInfo, Zeroconf

from mcloud import Beacon
from mcloud_discovery_mdns.group import TYPE, Group
from mcloud_discovery_mdns.records import UnusableError, read

MOST = 256
"""Initiators that are kept; of more, which is an attack, the latest: the true one answers each question."""

AT_ONCE = 32
"""Instances that are looked at in one packet."""

PTR, TXT, SRV = 12, 16, 33
"""Types of records: RFC 1035 section 3.2.2, RFC 2782."""

Key = tuple[str, str]
"""Interface and instance."""


@dataclass
class Heard:
    """What a search has heard so far; shared by the listeners' threads and the one that searches."""

    others: int = 0
    """Answers about services of others."""
    unusable: int = 0
    """Answers about ours that make no beacon."""
    why: str = ""
    """What the last unusable one lacked."""
    nobody: bool = True
    """Whether no initiator was heard at all."""
    _known: dict[Key, Beacon] = field(default_factory=dict)
    _fresh: dict[Key, Beacon] = field(default_factory=dict)
    _change: threading.Condition = field(default_factory=threading.Condition)

    def here(self, key: Key, beacon: Beacon) -> None:
        """Take note of an initiator; what is known already is no news."""
        with self._change:
            if self._known.get(key) != beacon:
                self._forget(key)
                self._known[key] = self._fresh[key] = beacon
                self.nobody = False
                if len(self._known) > MOST:
                    self._forget(next(iter(self._known)))
                self._change.notify_all()

    def gone(self, key: Key) -> None:
        """Take note that an initiator left; if it comes back, that is news."""
        with self._change:
            self._forget(key)

    def useless(self, why: str) -> None:
        """Take note of an answer about our service that makes no beacon."""
        self.unusable += 1
        self.why = why

    def _forget(self, key: Key) -> None:
        self._known.pop(key, None)
        self._fresh.pop(key, None)

    def news(self, seconds: float) -> list[Beacon]:
        """Return the news, after waiting so long for some at most."""
        with self._change:
            self._change.wait_for(lambda: bool(self._fresh), max(0.0, seconds))
            fresh, self._fresh = list(self._fresh.values()), {}
            return fresh


class Ear(RecordUpdateListener):
    """Listens on one interface; zeroconf's thread calls it with each answer that it could parse."""

    def __init__(self, group: Group, heard: Heard) -> None:
        """Tell `heard` what comes to this group."""
        self._zeroconf, self._link = group.zeroconf, group.link
        self._heard = heard
        self._touched: dict[str, None] = {}

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:  # noqa: ARG002 - its interface
        """See which instances of our service an answer is about; they are read when all of it is kept."""
        others = False
        for update in records:
            record, over = update.new, update.new.is_expired(now)
            instance = _instance(update)
            if not instance:
                others = others or not over
            elif not over:
                if len(self._touched) < AT_ONCE:
                    self._touched[instance] = None
            elif record.type == PTR:
                self._heard.gone((self._link.name, instance))
        if others and not self._touched:
            self._heard.others += 1

    def async_update_records_complete(self) -> None:
        """Read the instances that an answer was about."""
        touched, self._touched = self._touched, {}
        for instance in touched:
            try:
                info = ServiceInfo(TYPE, instance)
                info.load_from_cache(self._zeroconf)
                self._heard.here((self._link.name, instance), read(info, self._link))
            except UnusableError as error:
                self._heard.useless(str(error))
            except Error:
                self._heard.useless("no usable name")


def _instance(update: RecordUpdate) -> str:
    """Return the instance of our service that a record is about; empty for what is about others."""
    record = update.new
    name = record.name.lower()
    if record.type == PTR:
        # zeroconf makes pointers of what arrives with this type, but does not export their class.
        return str(getattr(record, "alias", "")).lower() if name == TYPE else ""
    return name if record.type in {SRV, TXT} and name.endswith(f".{TYPE}") else ""
