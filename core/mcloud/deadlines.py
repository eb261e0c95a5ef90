"""The one factor that stretches every deadline, for machines that are slower than most."""

from typing import Annotated

from pydantic import Field

LARGEST = 100.0
"""What another machine may ask for at most: a deadline still has to come."""

THINKING = 60.0
"""Seconds for code of a plugin that only thinks: its import, and every hook that plans or checks."""
LOOKING = 180.0
"""Seconds for one look at a machine: `inspect`, or a probe."""
MEETING = 60.0
"""Seconds for a plugin to begin or end announcing, and to prove two machines to each other."""
WORKING = 1800.0
"""Seconds for the `run` of a step, and for its `undo`, that says nothing else."""

Deadlines = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
"""A factor for all deadlines: 1 as they are meant, 2 for machines that are half as fast."""


def advice(stretch: float) -> str:
    """Return what to try where a deadline passed and nothing else is wrong."""
    return f"if the machine is only slow: --deadlines {min(2 * stretch, LARGEST):g}"
