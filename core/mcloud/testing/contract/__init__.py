"""PluginContract: what every plugin must keep to; subclass it in a test file, and pytest does the rest."""

from mcloud.testing.contract.describing import Describing
from mcloud.testing.contract.exchanging import Exchanging
from mcloud.testing.contract.planning import Planning
from mcloud.testing.contract.returning import Returning
from mcloud.testing.contract.running import Running
from mcloud.testing.contract.sparing import Sparing
from mcloud.testing.contract.trusting import Trusting
from mcloud.testing.contract.waiting import Waiting

__all__ = ["PluginContract"]


class PluginContract(Describing, Planning, Running, Returning, Exchanging, Sparing, Waiting, Trusting):
    """Set `name` and `plugin`, and what of `Subject` is not as it is there."""
