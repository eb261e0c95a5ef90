"""Whether the other side of a connection is still there, and hears what it is told."""

from mcloud.session.limits import Limits

_DEAF = 5
"""Times the silence that is borne: who takes nothing for so long, and goes on talking, is cut off."""


class Pulse:
    """Counts rounds without a sign of life, not seconds: when this machine stood still, others did not."""

    def __init__(self) -> None:
        """Begin with a machine that is there."""
        self._silent = self._stuck = 0.0

    def beat(self) -> None:
        """Take note that something was heard."""
        self._silent = 0.0

    def round(self, limits: Limits, *, deaf: bool, stuck: bool) -> str:
        """Count one round; return why the other side is given up, "" if it is not.

        `deaf`: nothing is read from it at present. `stuck`: it took nothing of what there is to be sent.
        """
        self._silent = 0.0 if deaf else self._silent + limits.ping_every
        self._stuck = self._stuck + limits.ping_every if stuck else 0.0
        if self._silent >= limits.silence:
            return f"no sign of life for {self._silent:g} s"
        if self._stuck >= _DEAF * limits.silence:
            return f"it took nothing of what it was told for {self._stuck:g} s"
        return ""
