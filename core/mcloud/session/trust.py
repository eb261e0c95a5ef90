"""The default trust plugin: both sides prove by SPAKE2 that they know the code, and neither learns it.

The joiner is side A: it sends its share first and confirms first. SPAKE2 as the library `spake2`
has it (Ed25519; not RFC 9382 on the wire), hence a suite name of our own.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr
from spake2 import SPAKE2_A, SPAKE2_B

from mcloud import API, Channel, Manifest, Role, TrustError, hookimpl
from mcloud.session.binding import framed
from mcloud.session.code import normalised

_T = TypeVar("_T")

SUITE = b"mcloud words 1: spake2-ed25519, hkdf-sha256, hmac-sha256"
_SHARE = 33
"""Bytes of a share: the side's letter and a point. The library takes longer ones too."""
_ANSWER_AFTER = 0.025
"""Seconds. The time of a multiplication tells the weight of the code's scalar; a fixed time does not."""
_REFUSED = b"refused"
_JOINER_CONFIRMS = b"mcloud words 1 joiner confirms"
_INITIATOR_CONFIRMS = b"mcloud words 1 initiator confirms"


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(api=API, summary="Trust by a code of a few words (SPAKE2)")


@hookimpl
def trust(channel: Channel, code: SecretStr, role: Role, binding: bytes) -> None:
    """Prove the code to the other side and have it proven; `TrustError` if it does not know the same."""
    if role is Role.JOINER:
        _join(channel, code, binding)
    else:
        _initiate(channel, code, binding)


def _join(channel: Channel, code: SecretStr, binding: bytes) -> None:
    side = SPAKE2_A(_password(code), idA=b"joiner", idB=b"initiator")
    share = _computed(side.start)
    channel.send(share)
    answer = _share(channel.receive())
    key = _computed(lambda: side.finish(answer))
    transcript = _transcript(binding, share, answer)
    channel.send(_confirmation(key, transcript, _JOINER_CONFIRMS))
    if not hmac.compare_digest(channel.receive(), _confirmation(key, transcript, _INITIATOR_CONFIRMS)):
        raise TrustError(
            "the code is wrong, or this is not the machine that showed it",
            hint="compare the words with the initiator's screen, and its address",
        )


def _initiate(channel: Channel, code: SecretStr, binding: bytes) -> None:
    share = _share(channel.receive())
    side = SPAKE2_B(_password(code), idA=b"joiner", idB=b"initiator")
    answer, key = _computed(lambda: (side.start(), side.finish(share)))
    transcript = _transcript(binding, share, answer)
    channel.send(answer)
    if not hmac.compare_digest(channel.receive(), _confirmation(key, transcript, _JOINER_CONFIRMS)):
        channel.send(_REFUSED)
        raise TrustError(
            "a machine gave a wrong code", hint="if it was yours, type the code again on that machine"
        )
    channel.send(_confirmation(key, transcript, _INITIATOR_CONFIRMS))


def _password(code: SecretStr) -> bytes:
    return normalised(code.get_secret_value()).get_secret_value().encode()


def _share(message: bytes) -> bytes:
    if len(message) != _SHARE:
        raise TrustError(f"the other side sent {len(message)} bytes instead of its share of the key")
    return message


def _computed(compute: Callable[[], _T]) -> _T:
    """Return what the library computes, after the same time for every code; its many errors are one."""
    answer_at = time.monotonic() + _ANSWER_AFTER
    try:
        return compute()
    except Exception:  # noqa: BLE001 - the library raises ValueError, NotOnCurve, OffSides, ... for a bad share
        raise TrustError("the other side's share of the key is not valid") from None
    finally:
        time.sleep(max(0.0, answer_at - time.monotonic()))


def _transcript(binding: bytes, joiner_share: bytes, initiator_share: bytes) -> bytes:
    return hashlib.sha256(framed(SUITE, binding, joiner_share, initiator_share)).digest()


def _confirmation(key: bytes, transcript: bytes, label: bytes) -> bytes:
    """Return one side's proof that it has the key and heard the same; each direction has its own label."""
    confirming = HKDF(algorithm=hashes.SHA256(), length=32, salt=transcript, info=label).derive(key)
    return hmac.digest(confirming, transcript, "sha256")
