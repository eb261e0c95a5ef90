"""`python -m mcloud.lab`: the lab's commands alone."""

from mcloud.cli.lab import lab

lab(prog_name="mcloud lab")
