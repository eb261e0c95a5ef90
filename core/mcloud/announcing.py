"""Telling those who look for an initiator where it is: by all discovery plugins at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from mcloud.errors import DiscoveryError, McloudError
from mcloud.model import Beacon
from mcloud.plugins import Plugins


@contextmanager
def announced(
    beacon: Beacon,
    *,
    plugins: Plugins,
    discovery: Sequence[str],
    settings: Mapping[str, Mapping[str, Any]],
    notice: Callable[[str], None],
) -> Iterator[None]:
    """While open: this machine can be found; a plugin that fails is noticed, and the others do without it.

    Raises DiscoveryError if none is left.
    """
    with ExitStack() as open_:
        left = 0
        for name in discovery:
            try:
                model = plugins.manifests[name].settings
                own = model and model.model_validate(settings.get(name, {}))
                announcement = plugins.announce(name, beacon=beacon, settings=own)
                open_.enter_context(_ended_quietly(announcement, name, notice))
                left += 1
            except McloudError as error:
                notice(f"{name} cannot announce this machine: {error}")
        if not left:
            raise DiscoveryError(
                "no discovery plugin could announce this machine", hint="see the lines above"
            )
        yield


@contextmanager
def _ended_quietly(
    announcement: AbstractContextManager[None], name: str, notice: Callable[[str], None]
) -> Iterator[None]:
    """Announce while open; that an announcement does not end takes nothing from what was done meanwhile."""
    announcement.__enter__()
    try:
        yield
    finally:
        try:
            announcement.__exit__(None, None, None)
        except McloudError as error:
            notice(f"{name} does not end its announcement: {error}")
