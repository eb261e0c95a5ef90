"""Certificates from strangers, changed byte by byte: pinned or refused, and nothing else."""

import pytest
from fuzz import TEXTS, examples, pem, wounded
from honest import N1, N2
from hypothesis import given

from mcloud.errors import ProtocolError
from mcloud.session.certificates import fingerprint, vetted
from mcloud.session.tls import server_context


@examples(500)
@given(wounded(N2.der))
def test_any_der_is_vetted_or_refused(der: bytes):
    try:
        mark = vetted(pem(der))
    except ProtocolError:
        return
    assert mark == fingerprint(pem(der))
    # What was pinned must not keep the door from letting others in.
    server_context(N1, [pem(der)], strangers=True)


@examples(300)
@given(wounded(N2.certificate.encode()))
def test_any_pem_is_vetted_or_refused(text: bytes):
    try:
        vetted(text.decode(errors="replace"))
    except ProtocolError:
        return


@examples(50)
@given(TEXTS)
def test_any_text_is_refused(text: str):
    with pytest.raises(ProtocolError):
        vetted(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),  # a version that does not exist
        (b"\x82\x02n2", b"\xa3\x02n2"),  # an alternative name of a kind that nobody knows
        (b"\x82\x02n2", b"\x87\x02n2"),  # an address of two bytes
        (b"\x82\x02n2", b"\x82\x02\xff\xfe"),  # no text
        (b"\x06\x03U\x1d\x0e", b"\x06\x03U\x1d\x23"),  # one extension twice
        (b"\x06\x03U\x1d\x13", b"\x06\x03U\x1d\x7f"),  # none that says whether it may sign
        (b"\x0c\x02n20\x1e", b"\x00\x02n20\x1e"),  # a name that OpenSSL does not read, and the library does
    ],
)
def test_what_the_library_has_errors_of_its_own_for_is_refused(old: bytes, new: bytes):
    assert N2.der.count(old) == 1
    with pytest.raises(ProtocolError):
        vetted(pem(N2.der.replace(old, new)))
