"""This machine, as a session needs it: its own certificate, and what it is made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from pydantic import SecretStr

from mcloud.crew import Crew, result
from mcloud.errors import McloudError, SettingsError
from mcloud.host import Host
from mcloud.model import Node, ServiceState, Survey, printable
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session.certificates import Credentials, load, make_credentials, store
from mcloud.state import State
from mcloud.survey import survey

AT_ONCE = 32
"""Looks at this machine that go on side by side."""


@dataclass
class Here:
    """What every command on this machine works with."""

    plugins: Plugins
    host: Host
    known: Secrets
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.plugins.here(self.host)

    def keep_secret(self, settings: Mapping[str, Mapping[str, SecretStr]]) -> None:
        """Know the secret settings: from now on they are kept out of all that is shown or written."""
        for fields in settings.values():
            for secret in fields.values():
                self.known.add(secret)

    def credentials(self) -> Credentials:
        """Return this machine's own key and certificate; made the first time."""
        self.state.prepare()
        paths = {"certificate_path": self.state.certificate_path, "key_path": self.state.key_path}
        own = load(**paths)
        if own is None:
            own = make_credentials(self.host.name)
            store(own, **paths)
        self.known.add(own.key)
        return own

    def describe(self, address: str, services: Iterable[str], *, fingerprint: str, founder: bool) -> Node:
        """Look at this machine and at each service on it, side by side; changes nothing."""
        crew = Crew(AT_ONCE, "inspect")
        surveyed = crew.submit(lambda: survey(self.host))
        asked = {name: crew.submit(partial(self._inspect, name)) for name in services}
        seen = result(surveyed)
        states = {name: found for name, one in asked.items() if (found := result(one)) is not None}
        own = ip_address(address)
        others = [other for other in addresses(seen) if other != own]
        return Node(
            name=self.host.name,
            addresses=(own, *others)[:16],
            fingerprint=fingerprint,
            survey=seen,
            services=states,
            founder=founder,
        )

    def _inspect(self, name: str) -> ServiceState | None:
        """Return what a plugin says of its service; one that fails says so, and the others go on."""
        if name not in self.plugins.having("inspect"):
            return None
        try:
            return self.plugins.inspect(name, host=self.host)
        except McloudError as error:
            return ServiceState(installed=False, note=printable(f"could not be looked at: {error}"))


def addresses(seen: Survey) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses others could reach this machine by: global ones, IPv4 first."""
    found = [
        interface.ip
        for nic in seen.nics
        for interface in nic.addresses
        if not (interface.ip.is_link_local or interface.ip.is_loopback or interface.ip.is_multicast)
    ]
    return tuple(sorted(found, key=lambda address: address.version))


def own_address(seen: Survey, wanted: str | None) -> str:
    """Return the address for the cloud's own traffic. Raises SettingsError if it is not clear which."""
    there = addresses(seen)
    if wanted is not None:
        if ip_address(wanted) not in there:
            raise SettingsError(
                f"this machine has no address {wanted}", hint=f"it has {', '.join(map(str, there)) or 'none'}"
            )
        return wanted
    carrying = [nic.name for nic in seen.nics if set(addresses(Survey(nics=(nic,))))]
    if len(carrying) != 1:
        raise SettingsError(
            "it is not clear which address the machines shall talk to each other by",
            hint=f"give --address with one of its own: {', '.join(map(str, there)) or 'it has none yet'}",
        )
    return str(there[0])
