"""A unit that failed is started again, and ends the wait with its own words when it fails again and again."""

import pytest

from mcloud import Result, ServiceError, failed_units, units, wait_with_units
from mcloud.context import Context
from mcloud.testing import FakeHost

WEB = "web.service"


class Systemd:
    """A machine with one unit that fails some times."""

    def __init__(self, failures: int, *, state: str = "failed") -> None:
        self.failures, self.state, self.calls = failures, state, []

    def answer(self, argv):
        self.calls.append(argv)
        match list(argv):
            case ["systemctl", "show", _, *names]:
                bad, good = ("failed", "failed"), ("active", "running")
                if self.state == "auto-restart":
                    bad = ("activating", "auto-restart")
                state = bad if self.failures > 0 else good
                shown = "ActiveState={}\nSubState={}\nResult=exit-code".format(*state)
                return "\n\n".join(shown for _ in names)
            case ["systemctl", "start", _]:
                self.failures -= 1
                return ""
            case ["journalctl", *_]:
                return "address in use\n\n  giving up\n"
            case ["systemctl", *_]:
                return ""
        return None

    def up(self):
        return True if self.failures <= 0 else None


@pytest.fixture
def waiting(world, lane, step, monkeypatch):
    """Return a function that waits for a unit of some systemd."""
    monkeypatch.setattr(units, "PAUSES", (0.0, 0.01, 0.01))

    def wait(systemd, look=None):
        one = step("a")
        own = lane(one)
        around = world.around(own)
        around.host = FakeHost(answer=systemd.answer)
        ctx = Context(around, own, one, doing="run")
        return wait_with_units(ctx, look or systemd.up, units=(WEB,), what="the web", patience=5)

    return wait


@pytest.mark.parametrize("state", ["failed", "auto-restart"])
def test_a_unit_that_fails_for_a_while_is_forgiven_and_started_again(waiting, state):
    systemd = Systemd(3, state=state)
    assert waiting(systemd) is True
    changes = [call[1:] for call in systemd.calls if call[1] in {"start", "reset-failed"}]
    assert changes == [("reset-failed", WEB), ("start", WEB)] * 3


def test_a_unit_that_fails_again_and_again_ends_the_wait_with_its_last_words(waiting):
    with pytest.raises(ServiceError) as failed:
        waiting(Systemd(99))
    assert str(failed.value) == (
        "waited for the web: web.service fails again and again (exit-code: address in use | giving up)"
    )
    assert "journalctl -u web.service" in failed.value.hint


def test_a_service_that_says_no_is_asked_again_as_long_as_its_unit_runs(waiting):
    asked = []

    def look():
        asked.append(1)
        if len(asked) < 3:
            raise ServiceError("not yet")
        return True

    assert waiting(Systemd(0), look) is True


def test_where_systemd_says_nothing_no_unit_failed():
    for said in ("77", "", Result(1, "", "no such unit")):
        assert failed_units(FakeHost(answer=lambda _argv, said=said: said), [WEB]) == {}
