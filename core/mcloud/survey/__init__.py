"""What a machine is made of; reads only."""

from mcloud.survey.system import os_release, survey

__all__ = ["os_release", "survey"]
