"""Steps that make the CA on the founder and bring each machine its certificate."""

import json
from collections.abc import Iterable, Sequence
from functools import partial

from pydantic import SecretStr

from mcloud import JoinToken, Node, Offer, ServiceError, Step, StepContext
from mcloud_ovn import pki
from mcloud_ovn.files import AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY

_PRIVATE = 0o600


def found_authority() -> Step:
    """Make the CA. On the founder."""
    return Step(name="authority", run=_make_authority, probe=_authority_is_there, undo=_remove_authority)


def certify_founder(node: Node) -> Step:
    """Make the founder's own key and certificate, with the CA at hand."""
    return Step(
        name="certificate",
        run=partial(_make_own, node),
        probe=partial(_certified, False),  # noqa: FBT003 - a partial takes probe's arguments by place
        undo=_remove_own,
    )


def make_key(node: Node) -> Step:
    """Make a joiner's key, which never leaves it, and ask for a certificate."""
    return Step(name="key", run=partial(_ask, node), probe=_key_is_there, undo=_remove_key)


def issue(node: Node, *, with_authority_key: bool) -> Step:
    """Sign a joiner's request; on the seat."""
    return Step(name="sign", run=partial(_issue, node, with_authority_key), offers=(JoinToken,))


def take_certificate(*, with_authority_key: bool) -> Step:
    """Write what came in the token. On a joiner."""
    return Step(
        name="certificate",
        run=partial(_take, with_authority_key),
        probe=partial(_certified, with_authority_key),
        undo=_remove_certificates,
        needs=(JoinToken,),
    )


def _write(ctx: StepContext, path: str, text: str, *, mode: int = 0o644) -> None:
    ctx.keep_file(path)
    ctx.host.write(path, text, mode=mode)


def _make_authority(ctx: StepContext) -> None:
    key = pki.make_key()
    _write(ctx, AUTHORITY_KEY, key, mode=_PRIVATE)
    _write(ctx, AUTHORITY, pki.make_authority(key))


def _authority_is_there(ctx: StepContext) -> Sequence[Offer] | None:
    key, certificate = ctx.host.read(AUTHORITY_KEY), ctx.host.read(AUTHORITY)
    if key is None or certificate is None:
        return None
    return () if pki.belongs(certificate, key=key, authority=certificate) else None


def _remove_authority(ctx: StepContext) -> None:
    ctx.restore_file(AUTHORITY_KEY)
    ctx.restore_file(AUTHORITY)


def _make_own(node: Node, ctx: StepContext) -> None:
    key = pki.make_key()
    certificate = _sign(ctx, node, pki.make_request(key, node.name))
    _write(ctx, KEY, key, mode=_PRIVATE)
    _write(ctx, CERTIFICATE, certificate)


def _remove_own(ctx: StepContext) -> None:
    ctx.restore_file(CERTIFICATE)
    ctx.restore_file(KEY)


def _ask(node: Node, ctx: StepContext) -> None:
    key = pki.make_key()
    # The request goes first: with the key written first and a death in between, a resumed run would find
    # the key, take the step as done, and have nothing to ask with.
    ctx.apply(pki.make_request(key, node.name))
    _write(ctx, KEY, key, mode=_PRIVATE)


def _key_is_there(ctx: StepContext) -> Sequence[Offer] | None:
    return () if ctx.host.stat(KEY) else None


def _remove_key(ctx: StepContext) -> None:
    ctx.restore_file(KEY)


def _issue(node: Node, with_authority_key: bool, ctx: StepContext) -> Iterable[Offer]:  # noqa: FBT001 - see `issue`
    said = {"authority": ctx.host.read(AUTHORITY)}
    if ctx.request:  # else it has a certificate, and only says so
        said["certificate"] = _sign(ctx, node, ctx.request)
    if with_authority_key:
        said["authority_key"] = ctx.host.read(AUTHORITY_KEY)
    return [JoinToken(value=SecretStr(json.dumps(said)))]


def _sign(ctx: StepContext, node: Node, request: bytes) -> str:
    authority, key = ctx.host.read(AUTHORITY), ctx.host.read(AUTHORITY_KEY)
    if authority is None or key is None:
        raise ServiceError(
            f"this machine does not hold the CA's key ({AUTHORITY_KEY})",
            hint="certificates are made on one of the first three machines of the cloud",
        )
    try:
        return pki.sign_request(
            request, host_name=node.name, addresses=[node.address], authority=authority, authority_key=key
        )
    except ValueError as error:
        raise ServiceError(
            f"{node.name} asked for a certificate in a way that cannot be granted: {error}",
            hint=f"run the same command again on {node.name}",
        ) from None


def _take(with_authority_key: bool, ctx: StepContext) -> None:  # noqa: FBT001 - a partial
    said = json.loads(ctx.token.get_secret_value())
    if "certificate" not in said:
        if _certified(with_authority_key, ctx) is not None and ctx.host.read(AUTHORITY) == said["authority"]:
            return  # it was there before this run, and is of this cloud
        raise ServiceError(
            "this machine has a key of an earlier run, and no certificate for it",
            hint=f"rm {KEY}, and run the same command again",
        )
    if "authority_key" in said:
        _write(ctx, AUTHORITY_KEY, said["authority_key"], mode=_PRIVATE)
    _write(ctx, AUTHORITY, said["authority"])
    _write(ctx, CERTIFICATE, said["certificate"])


def _certified(with_authority_key: bool, ctx: StepContext) -> Sequence[Offer] | None:  # noqa: FBT001 - a partial
    certificate, key, authority = (ctx.host.read(path) for path in (CERTIFICATE, KEY, AUTHORITY))
    if certificate is None or key is None or authority is None:
        return None
    if with_authority_key and _authority_is_there(ctx) is None:
        return None
    return () if pki.belongs(certificate, key=key, authority=authority) else None


def _remove_certificates(ctx: StepContext) -> None:
    ctx.restore_file(CERTIFICATE)
    _remove_authority(ctx)
