"""Where the command `mcloud` begins: start again, isolated, before anything else is loaded.

The current folder and PYTHONPATH must be no source of plugins that run as root (`python -I`). A
package of its own, so that nothing is imported twice.
"""

import os
import sys


def main() -> None:
    """Become `python -I -m mcloud`, with the same arguments."""
    os.execv(sys.executable, [sys.executable, "-I", "-m", "mcloud", *sys.argv[1:]])  # noqa: S606 - ourselves
