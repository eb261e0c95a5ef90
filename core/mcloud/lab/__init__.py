"""The lab: real machines in namespaces on this machine, to form clouds in."""

from mcloud.lab.lab import Lab
from mcloud.lab.machine import Machine

__all__ = ["Lab", "Machine"]
