"""TLS contexts: 1.3 only, no tickets, no clock; who is let in is decided by fingerprint afterwards."""

import os
import ssl
from collections.abc import Iterable, Mapping

from mcloud.session.certificates import Credentials, der_of

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: fresh machines have wrong clocks."""


def server_context(credentials: Credentials, pinned: Iterable[str], *, strangers: bool) -> ssl.SSLContext:
    """Return the context of a door: asks for a certificate, and verifies one against those pinned (PEM).

    A certificate that is not pinned fails the handshake: Python can ask for none it does not know.
    Without one, a stranger gets in where `strangers` is set.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    context.sslobject_class = _Telling
    # A resumed session would skip verification, also after a pin was taken back.
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL if strangers else ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME
    _pin(context, pinned)
    return context


class DoorContext:
    """The context of a door for the pins of the moment.

    It learns new pins and cannot forget one: then there is a new one. One for each new pin would cost
    27 ms and 1 MiB with two hundred of them, for as long as its connections live.
    """

    def __init__(self, credentials: Credentials) -> None:
        """Begin with none."""
        self._credentials = credentials
        self._made: tuple[ssl.SSLContext, bool] | None = None
        self._pinned: Mapping[str, str] = {}

    def of(self, pins: Mapping[str, str], *, strangers: bool) -> ssl.SSLContext:
        """Return the context for these pins (PEM by fingerprint)."""
        pins = dict(pins)
        if self._made is None or self._made[1] != strangers or not self._pinned.items() <= pins.items():
            self._made = server_context(self._credentials, pins.values(), strangers=strangers), strangers
        else:
            _pin(self._made[0], (pins[mark] for mark in pins.keys() - self._pinned.keys()))
        self._pinned = pins
        return self._made[0]


def _pin(context: ssl.SSLContext, certificates: Iterable[str]) -> None:
    # As DER: in a text from elsewhere OpenSSL would find all certificates, not only the one looked at.
    if store := b"".join(der_of(pem) for pem in certificates):
        context.load_verify_locations(cadata=store)


class _Telling(ssl.SSLObject):
    """A TLS connection that tells the other side why its handshake failed.

    asyncio closes at once and drops the alert. Asking it to wait for more makes it send what there is.
    """

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            raise ssl.SSLWantReadError from None


def client_context(credentials: Credentials | None) -> ssl.SSLContext:
    """Return the context of a dialler: takes any certificate, the caller compares its fingerprint."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, credentials)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int, credentials: Credentials | None) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    if credentials is not None:
        _show(context, credentials)
    return context


def _show(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Give the context certificate and key. Python reads them from a file only: this one is in memory."""
    file = os.memfd_create("mcloud", os.MFD_CLOEXEC)
    try:
        os.write(file, f"{credentials.certificate}{credentials.key.get_secret_value()}".encode())
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
