"""What keeps a service from running on a machine, seen before the first change: ports, units, users."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from mcloud.errors import CommandError
from mcloud.host import Host
from mcloud.listeners import Listener, listeners
from mcloud.model import Check, Node, ServiceState
from mcloud.records import Obstacle, printable

SECONDS = 30


def obstacles(
    host: Host,
    *,
    ports: Mapping[int, str] | None = None,
    units: Sequence[str] = (),
    users: Sequence[str] = (),
    ours: Collection[str] = (),
) -> tuple[Obstacle, ...]:
    """Look for what a service will need and cannot have; for `inspect`, into `ServiceState.obstacles`.

    `ports` are TCP ports with what shall listen there, in words; programs in `ours` may hold them
    already (names as the kernel keeps them). `units` are units of systemd that will be started, also
    templates (`ceph-mon@.service`), `users` are users that the packages make. Changes nothing; what
    cannot be told, because there is no ss(8) or systemd, is no obstacle.
    """
    return (
        *_taken(host, ports or {}, ours),
        *_masked(host, units),
        *(_missing(user) for user in users if not _is_there(host, user)),
    )


def obstacle_checks(
    node: Node, state: ServiceState | None, *, address: str = "", without: Collection[str] = ()
) -> Iterator[Check]:
    """Yield an error for each obstacle that was found on a machine; for `preflight`.

    A port is in the way only where it is taken at the `address` at which the service will listen (the
    machine's own, if none is given). `without` names ports, units and users that this machine will not need.
    """
    for one in state.obstacles if state is not None else ():
        if one.name in without or (one.kind == "port" and not _in_the_way(one, address or node.address)):
            continue
        yield Check(level="error", machine=node.name, message=one.message, hint=one.hint)


def _in_the_way(one: Obstacle, address: str) -> bool:
    return one.name.isdigit() and Listener(address=one.address, port=int(one.name)).keeps_out(address)


def _taken(host: Host, ports: Mapping[int, str], ours: Collection[str]) -> Iterator[Obstacle]:
    for one in listeners(host) if ports else ():
        if one.port in ports and one.program not in ours:
            yield Obstacle(
                kind="port",
                name=str(one.port),
                address=one.address,
                message=printable(f"port {one.port}, for {ports[one.port]}, is taken by {one.words}"),
                hint="stop that program, or have it listen elsewhere: `ss -ltnp` shows it",
            )


def _masked(host: Host, units: Sequence[str]) -> Iterator[Obstacle]:
    asked = ["systemctl", "list-unit-files", "--plain", "--no-legend", "--state=masked,masked-runtime"]
    try:
        listed = host.run([*asked, *units], check=False, seconds=SECONDS).stdout if units else ""
    except CommandError:
        return
    for name in (line.split()[0] for line in listed.splitlines() if line.strip()):
        if name in units:
            yield Obstacle(
                kind="unit",
                name=name,
                message=f"the unit {name} is masked: systemd starts it for nobody",
                hint=f"systemctl unmask {name}, if whoever masked it agrees",
            )


def _is_there(host: Host, user: str) -> bool:
    try:
        # 2: no such key, getent(1); anything else says nothing about the user.
        return host.run(["getent", "passwd", user], check=False, seconds=SECONDS).status != 2  # noqa: PLR2004
    except CommandError:
        return True


def _missing(user: str) -> Obstacle:
    return Obstacle(
        kind="user",
        name=user,
        message=f"there is no user {user}, which its package makes",
        hint="install the package anew (apt-get install --reinstall), or make the user as it does",
    )
