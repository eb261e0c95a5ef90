"""The sections of the file that are the core's: `cloud`, `meet`, and what each machine has."""

import re
import unicodedata
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from mcloud.deadlines import Deadlines
from mcloud.model import HostName, Settings

FORMAT = 1
"""Version of the file's format: the value of `mcloud:`."""

SHORTEST_CODE = 12
"""Characters of a code that an operator makes up, after normalising (design of the trust plugin)."""

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = r"^(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d{1,6})?s)?$"


def _duration(given: Any) -> Any:
    """Read `1h30m`, `90s` or a number of seconds."""
    if isinstance(given, timedelta):
        return given
    if isinstance(given, bool) or not isinstance(given, str | int | float) or given == "":
        raise ValueError("should be a duration such as 10m, 90s or 1h30m")
    if isinstance(given, str) and not re.fullmatch(_DURATION, given):
        raise ValueError("should be a duration such as 10m, 90s or 1h30m")
    try:
        if not isinstance(given, str):
            return timedelta(seconds=given)
        found = re.findall(r"(\d+)(?:\.(\d+))?([dhms])", given)
        whole = sum(int(number) * _UNITS[unit] for number, _, unit in found)
        return timedelta(
            seconds=whole, microseconds=sum(int(part.ljust(6, "0")) for _, part, _ in found if part)
        )
    except (OverflowError, ValueError):
        raise ValueError("is too long a time") from None


def spoken_duration(duration: timedelta) -> str:
    """Write a duration as it is read: the inverse of `_duration`."""
    seconds, text = duration.days * 86400 + duration.seconds, ""
    for unit, size in list(_UNITS.items())[:-1]:
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" * bool(count)
    fraction = f".{duration.microseconds:06}".rstrip("0") * bool(duration.microseconds)
    return text + f"{seconds}{fraction}s" * bool(seconds or fraction or not text)


Duration = Annotated[
    timedelta,
    Field(ge=timedelta(0)),
    BeforeValidator(_duration),
    PlainSerializer(spoken_duration, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _DURATION}, {"type": "number", "minimum": 0}]}),
]
"""A time such as `10m`, `90s`, `1h30m`, or a number of seconds."""


def _network(given: Any) -> Any:
    if isinstance(given, IPv4Network | IPv6Network):
        return given
    if not isinstance(given, str) or "/" not in given:
        raise ValueError("should be a network such as 10.10.0.0/24")
    try:
        meant = ip_interface(given).network
    except ValueError:
        raise ValueError("should be a network such as 10.10.0.0/24") from None
    try:
        return ip_network(given)
    except ValueError:
        raise ValueError(f"names an address inside the network; the network is {meant}") from None


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
"""An IPv4 or IPv6 network in CIDR notation; bits of an address inside it are refused."""


def _address(given: Any) -> Any:
    if isinstance(given, IPv4Address | IPv6Address):
        return given
    try:
        address = ip_address(given) if isinstance(given, str) else None
    except ValueError:
        address = None
    if address is None:
        raise ValueError("should be an IP address such as 10.10.0.11 or 2001:db8::11")
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
        raise ValueError("is an address that other machines cannot reach")
    return address


Address = Annotated[IPv4Address | IPv6Address, BeforeValidator(_address)]
"""An address that other machines can reach: not loopback, link-local, multicast or unspecified."""


def _host_name(given: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(given)
    except ValidationError:
        message = "is not a host name: lower case letters, digits and inner hyphens, 63 at most (RFC 1123)"
        raise ValueError(message) from None


Name = Annotated[HostName, WrapValidator(_host_name)]
"""A `HostName` that is refused in plain words."""


def long_enough(code: SecretStr) -> SecretStr:
    """Return a code as it is; raise ValueError for one that is too short to be one."""
    text = unicodedata.normalize("NFKC", code.get_secret_value()).lower()
    if len(re.sub(r"[\s-]+", " ", text).strip()) < SHORTEST_CODE:
        raise ValueError(f"is too short: at least {SHORTEST_CODE} characters (`mcloud code` makes one)")
    return code


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not path.is_absolute():
        raise ValueError("should be an absolute path: every machine reads it")
    return path


class Cloud(Settings):
    """What the cloud is."""

    name: Name = Field(description="Name of the cloud", examples=["home"])
    initiator: Name = Field(
        description="The machine that founds the cloud: one of `machines`", examples=["n1"]
    )
    network: Network = Field(
        description="Network of the machines' addresses, for the cloud's own traffic",
        examples=["10.10.0.0/24"],
    )
    on_failure: Literal["keep", "undo"] = Field(
        default="keep", description="After a failure keep what is done, to go on later, or undo it"
    )
    others: Literal["go-on", "stop"] = Field(
        default="go-on", description="When one machine fails, what the others do"
    )
    deadlines: Deadlines = Field(
        default=1.0,
        description="Factor for all deadlines, of steps, commands and silence between machines: "
        "2 for machines that are half as fast",
    )


class Meet(Settings):
    """How the machines find and trust each other."""

    discovery: tuple[str, ...] = Field(
        default=("static",), min_length=1, description="Plugins that find the initiator"
    )
    trust: str = Field(default="words", description="Plugin that proves both sides know the code")
    code: Annotated[SecretStr, AfterValidator(long_enough)] | None = Field(
        default=None,
        description="What all machines know (`mcloud code` makes one); the file must then be 0600",
    )
    code_file: Annotated[PurePosixPath, AfterValidator(_absolute)] | None = Field(
        default=None,
        description="File that holds the code, instead of `code`",
        examples=["/root/mcloud.code"],
    )
    patience: Annotated[Duration, Field(gt=timedelta(0))] = Field(
        default=timedelta(minutes=10), description="How long machines wait for each other"
    )
    initiator_address: Address | None = Field(
        default=None,
        description="Where joiners find the initiator, if not at its address below `machines`",
        examples=["192.0.2.11"],
    )
    port: int = Field(default=9442, ge=1, le=65535, description="TCP port of the initiator")

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if self.code is not None and self.code_file is not None:
            raise ValueError("give `code` or `code_file`, not both")
        return self


class Machine(Settings):
    """One machine: its host name and its address in the cloud's network."""

    name: Name = Field(description="Host name", examples=["n1", "n2", "n3"])
    address: Address = Field(
        description="Address of the machine in the cloud's network",
        examples=["10.10.0.11", "10.10.0.12", "10.10.0.13"],
    )


class Nothing(Settings):
    """The settings of a plugin that has none."""
