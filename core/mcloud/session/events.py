"""A thread with an event loop in it: asyncio ends here, the rest of the program is plain calls."""

import asyncio
import logging
import ssl
import threading
from asyncio import sslproto
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
sslproto.SSLProtocol.max_size = 32 * 1024
"""asyncio makes a buffer of this size for each TLS connection, 256 KiB by default: with two hundred of them,
50 MiB. A record of TLS has at most 16 KiB (RFC 8446, section 5.1)."""
log = logging.getLogger(__name__)


class EventThread:
    """Runs a loop until `stop`; what is posted afterwards is dropped."""

    def __init__(self, name: str) -> None:
        """Start the thread. `RuntimeError` if the system gives none, `OSError` if it has no descriptors."""
        self.loop: asyncio.AbstractEventLoop
        self._trouble: OSError | None = None
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=name, daemon=True)
        self._thread.start()
        ready.wait()
        if self._trouble is not None:
            raise self._trouble

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the loop, wait, and return its result. Not after `stop`."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def post(self, call: Callable[..., object], *arguments: object) -> None:
        """Have something called in the loop soon, in order; nothing if it has stopped."""
        try:
            self.loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            log.debug("the event thread has stopped")

    def stop(self) -> None:
        """End the loop; does not wait, so it may be called in it."""
        self.post(self.loop.stop)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(seconds)

    def _run(self, ready: threading.Event) -> None:
        # Made here, where no signal comes: a loop that is half made when Ctrl-C comes prints a traceback.
        try:
            self.loop = asyncio.new_event_loop()
        except OSError as error:
            self._trouble = error
            return
        finally:
            ready.set()
        try:
            self.loop.set_exception_handler(_note)
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(_cancel_all())
            self.loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Two rounds more: what was aborted closes its socket in the next, and says so in the one after.
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio has nobody to tell; what strangers do to a socket is not worth a line."""
    error = context.get("exception")
    if isinstance(error, OSError | ssl.SSLError | TimeoutError):
        log.debug("%s: %s", context["message"], error)
    else:
        log.error("%s", context["message"], exc_info=error)
