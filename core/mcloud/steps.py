"""Step: how to see, do and take back one change on this machine; and what a step is given."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import SecretStr

from mcloud.deadlines import WORKING
from mcloud.host import Host
from mcloud.offers import Offer

K = TypeVar("K", bound=Offer)
T = TypeVar("T")


class StepContext(Protocol):
    """What `probe`, `run` and `undo` of a step may use."""

    @property
    def host(self) -> Host:
        """This machine."""
        ...

    @property
    def token(self) -> SecretStr:
        """The join token of this lane's plugin; only in a join lane, in steps that need `JoinToken`."""
        ...

    @property
    def request(self) -> bytes:
        """What the joiner sent with `apply`; only in an issue_token lane. Empty if it sent nothing."""
        ...

    def apply(self, request: bytes) -> None:
        """Send public bytes (a certificate request) along when this join lane asks for its token.

        At most 64 KiB; journalled, so that a resumed run sends them again.
        """
        ...

    def offers(self, kind: type[K]) -> tuple[K, ...]:
        """Return what was offered of a kind this step wants or needs; JoinToken of the own lane only."""
        ...

    def secret(self, field: str) -> SecretStr | None:
        """Return a secret field of the plugin's settings (plan hooks get None there); None if unset."""
        ...

    def facts(self, machine: str) -> tuple[Offer, ...]:
        """Return what another machine's join offered of this plugin's `Manifest.facts`."""
        ...

    def keep(self, key: str, value: str | None) -> str | None:
        """Journal what was there before the change, synced before this returns.

        The first value kept under a key wins and is returned, also when a half-done step runs
        again. A known secret is refused (PluginError). Only in `run`.
        """
        ...

    def kept(self, key: str) -> str | None:
        """Return what `keep` kept; None also if nothing was kept: see `has_kept`."""
        ...

    def has_kept(self, key: str) -> bool:
        """Whether `keep` was called with this key: in `undo`, whether `run` got as far as that."""
        ...

    def keep_file(self, path: str) -> None:
        """Keep what is at a path, whatever it holds, before a file that need not be ours is changed.

        Kept are bytes, mode, owner and group, whether it is a symbolic link, that it is not there, and which
        folders above it are not. On disk, for root alone and never in the journal, when this returns; the
        first image kept wins, also when a half-done step runs again. Raises ServiceError for what is no
        file (a folder, a device) or larger than 8 MiB. Only in `run`, of a step with an undo.
        """
        ...

    def restore_file(self, path: str) -> None:
        """Make a path what it was when this step kept it; do nothing if it never did. Not in a probe.

        Folders that were not there before the run and are empty now go, too. What somebody else has made
        of the file since this step ran is kept for the operator, who is told where. What a step kept and
        its undo does not restore by itself is restored right after that. Raises ServiceError if what is
        there now is no file, or the path leads elsewhere now.
        """
        ...

    def change_file(self, path: str, content: str) -> None:
        """Give a file that an earlier step of this run keeps another content, mode and owner as they are.

        For a step that has nothing to restore: the undo of the earlier one still knows the file for ours.
        Raises ServiceError if there is no such file. Only in `run`.
        """
        ...

    def report(self, text: str) -> None:
        """Show one line of progress beside this step; the next one takes its place."""
        ...

    def notice(self, text: str) -> None:
        """Tell the operator something that has to stay on the screen, also of a run in a pipe."""
        ...

    def wait(
        self,
        look: Callable[[], T | None],
        *,
        what: str,
        patience: float = 60,
        progress: Callable[[], object] | None = None,
        most: float | None = None,
    ) -> T:
        """Call `look` until it returns something else than None, and return that.

        Gives up with ServiceError("still waiting for {what}") after `patience` seconds *without
        progress*, and after `most` seconds in any case (ten times the patience, if nothing is said).
        Progress is a count that only grows: whenever `progress()` returns a number larger than all
        before it, the patience starts anew. Of what is no number, each value that was never seen before
        counts. An error that `look` raises ends the wait, except ServiceError: the service may not be
        there yet, and the last one is named when the patience ends.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change on this machine: how to look for it, make it and take it back.

    A probe is required unless all offers are volatile. Elsewhere `run` returns None, and what the
    step offers is what the probe sees: it looks at the state that was wanted, never at an exit code.
    """

    name: str
    """Unique inside its lane, kebab-case; it goes into the journal and on the screen."""
    run: Callable[[StepContext], Iterable[Offer] | None]
    """Makes the change; bears a half-done state of its own. Returns offers only where all are volatile."""
    probe: Callable[[StepContext], Sequence[Offer] | None] | None = None
    """None: not there. Else what it offers, `()` if nothing. Changes nothing."""
    undo: Callable[[StepContext], None] | None = None
    """Takes the change back, also a half-done one; afterwards the probe sees nothing."""
    needs: tuple[type[Offer], ...] = ()
    """No plan without a maker of each of these."""
    wants: tuple[type[Offer], ...] = ()
    """Runs after the makers of these, if there are any."""
    offers: tuple[type[Offer], ...] = ()
    """Kinds it may offer; anything else it offers is a bug."""
    destroys: tuple[str, ...] = ()
    """What running it loses for good, in words: shown in the plan and confirmed."""
    loses: tuple[str, ...] = ()
    """What undoing it loses, in words: shown and confirmed before undo."""
    seconds: float = WORKING
    """How long its `run` may take at most, and its `undo`; stretched by `--deadlines`. Half an hour is more
    than anything needs that waits with `ctx.wait` and gives its commands deadlines. At the end its commands
    are killed; one that goes on all the same is left behind, and its context refuses it everything."""

    @property
    def volatile(self) -> bool:
        """Whether all it offers is never written down, so that it always runs again."""
        return bool(self.offers) and all(kind.volatile for kind in self.offers)
