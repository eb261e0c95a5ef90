"""The end of the program: it does not wait for threads that plugins left behind."""

import os
import sys
import threading
import time
from contextlib import suppress

LEAVE_WITHIN = 5.0
"""Seconds for threads to end by themselves, once all is said and done."""


def leave(status: int) -> None:
    """End on the spot with this status if anybody would keep the program from ending; else return.

    Python waits at its end for every thread that is no daemon, pools' threads among them, for ever.
    """
    until = time.monotonic() + LEAVE_WITHIN
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                for stream in (sys.stdout, sys.stderr):
                    with suppress(OSError, ValueError):
                        stream.flush()
                os._exit(status)
