"""Settings: one model per plugin becomes questions, the check of the file, its schema and its example."""

from mcloud.forms.ask import Ask, Choice, SoFar, Topic, asked
from mcloud.forms.commented import example
from mcloud.forms.core import FORMAT, Address, Cloud, Duration, Machine, Meet, Network
from mcloud.forms.file import CORE_SECTIONS, read
from mcloud.forms.json_schema import schema
from mcloud.forms.preseed import Preseed
from mcloud.forms.secret import plain, secrets, without_secrets
from mcloud.forms.source import check_file_mode, read_code_file, read_file
from mcloud.forms.write import differences, dump, public

__all__ = [
    "CORE_SECTIONS",
    "FORMAT",
    "Address",
    "Ask",
    "Choice",
    "Cloud",
    "Duration",
    "Machine",
    "Meet",
    "Network",
    "Preseed",
    "SoFar",
    "Topic",
    "asked",
    "check_file_mode",
    "differences",
    "dump",
    "example",
    "plain",
    "public",
    "read",
    "read_code_file",
    "read_file",
    "schema",
    "secrets",
    "without_secrets",
]
