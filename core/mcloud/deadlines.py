"""The one factor that stretches every deadline, for machines that are slower than most."""

from typing import Annotated

from pydantic import Field

LARGEST = 100.0
"""What another machine may ask for at most: a deadline still has to come."""

Deadlines = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
"""A factor for all deadlines: 1 as they are meant, 2 for machines that are half as fast."""


def advice(stretch: float) -> str:
    """Return what to try where a deadline passed and nothing else is wrong."""
    return f"if the machine is only slow: --deadlines {min(2 * stretch, LARGEST):g}"
