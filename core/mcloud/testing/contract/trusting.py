"""Plugins of trust: both sides are convinced by the same code in the same session, and by nothing else."""

import threading

from pydantic import SecretStr

from mcloud.deadlines import MEETING
from mcloud.errors import TrustError
from mcloud.model import Role
from mcloud.plugins import Plugins
from mcloud.testing.channel import MemoryChannel
from mcloud.testing.contract.subject import Subject

_CODE = "right code here"
_SESSION = b"this session"


class Trusting(Subject):
    """The hook `trust`."""

    def test_trust_needs_the_same_code_in_the_same_session(self) -> None:
        """Both sides return, or neither does, with a TrustError."""
        plugins = self._plugins()
        if self.name not in plugins.having("trust"):
            return
        assert _talk(plugins, self.name, _CODE, _SESSION) == [], "the right code is refused"
        for code, session in (("wrong code here", _SESSION), (_CODE, b"another session")):
            errors = _talk(plugins, self.name, code, session)
            what = "code" if session == _SESSION else "session"
            assert len(errors) == 2, f"a side trusts another that has another {what}"  # noqa: PLR2004 - both sides
            assert any(isinstance(error, TrustError) for error in errors), f"no TrustError, but {errors!r}"


def _talk(plugins: Plugins, name: str, code: str, session: bytes) -> list[Exception]:
    """Let two sides talk, one of them with this code in this session; return the errors."""
    errors: list[Exception] = []
    near, far = MemoryChannel.pair()

    def say(channel: MemoryChannel, role: Role, code: str, binding: bytes) -> None:
        try:
            plugins.trust(name, channel=channel, code=SecretStr(code), role=role, binding=binding)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises
            errors.append(error)

    sides = [
        threading.Thread(target=say, args=(near, Role.INITIATOR, _CODE, _SESSION), daemon=True),
        threading.Thread(target=say, args=(far, Role.JOINER, code, session), daemon=True),
    ]
    for side in sides:
        side.start()
    for side in sides:
        side.join(2 * MEETING)  # which is as long as a trust may take
    return errors
