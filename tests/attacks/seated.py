"""An initiator in a process of its own, so that its memory can be seen: says its port, then what is noticed.

Told `peak` over standard input it says the most memory it ever had, in MiB; told anything else it ends.
"""

import sys
from pathlib import Path

from honest import seat


def peak() -> int:
    """Return the peak of the memory that this process had in use, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def main() -> None:
    with seat() as here:
        listener = here.initiator.listener
        listener.came = lambda guest: print("came", guest.name, guest.standing, flush=True)
        print("port", here.port, flush=True)
        while sys.stdin.readline().strip() == "peak":
            print("peak", peak(), flush=True)


if __name__ == "__main__":
    main()
