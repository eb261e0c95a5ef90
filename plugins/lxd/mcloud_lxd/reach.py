"""Whether this machine's LXD is reached where the other members need it: at its address, not its socket."""

from mcloud import CommandError, Host, ServiceError, holder, listeners
from mcloud_lxd.client import server

SECONDS = 10

_CERTIFICATE = (
    "import socket, ssl, sys; socket.setdefaulttimeout(float(sys.argv[1])); "
    "print(ssl.get_server_certificate((sys.argv[2], int(sys.argv[3]))))"
)
"""Prints the certificate of whoever answers TLS there."""


def is_reached(host: Host, address: str, port: int) -> bool:
    """Whether who answers at this address is the LXD that answers on the socket. Raises LxdError."""
    given = (f"{5 * host.stretch}", address, str(port))
    try:
        said = host.run(
            ["/usr/bin/python3", "-I", "-S", "-c", _CERTIFICATE, *given], check=False, seconds=SECONDS
        )
    except CommandError:
        # No Python where the system has its own: then what the kernel shows has to do.
        found = holder(listeners(host), port, address)
        return found is not None and found.program == "lxd"
    return bool(said.stdout.strip()) and _plain(said.stdout) == _plain(server(host).certificate)


def refuse_taken_port(host: Host, address: str, port: int) -> None:
    """Raise ServiceError where another program holds the port that LXD shall listen on."""
    found = holder(listeners(host), port, address)
    if found is not None and found.program not in {"lxd", ""}:
        raise ServiceError(
            f"LXD cannot listen on {host.name}: port {port} is taken by {found.words}",
            hint="stop that program, or have it listen elsewhere; then run the same command again",
        )


def _plain(certificate: str) -> str:
    """Return a certificate without what may differ in its writing."""
    return "".join(certificate.split())
