"""Which of the initiators that were found is joined: the only one, one that was named, or one picked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mcloud.errors import DiscoveryError, McloudError, SettingsError
from mcloud.finding import Found
from mcloud.looking import Looking
from mcloud.prompting import Pick, Prompter, Row

SETTLING = 1.0
"""Seconds after the first initiator was heard, before it is taken for the only one."""
FIRST_WORD = 10.0
"""Seconds of silence after which a person is told that nothing was heard yet."""
OPTION = "--initiator NAME"
LISTED, NAMED = 20, 8
"""Initiators that an error describes, and that a sentence names; more are a flood."""
_LOOK_AGAIN = 0.1


@dataclass
class Choosing:
    """The choice of one joiner."""

    notice: Callable[[str], None]
    prompter: Prompter
    can_ask: bool
    """Whether a person is there to pick."""
    wanted: str = ""
    """Name, session or address of the initiator; "" for the only one there is."""
    settling: float = SETTLING
    first_word: float = FIRST_WORD
    _told: set[str] = field(default_factory=set)

    def __call__(self, looking: Looking, known: str = "") -> Found:
        """Return an initiator as soon as it is clear which; wait for it as long as the patience lasts.

        `known` is the fingerprint of the one that was trusted before: no other is taken in its place.
        Raises SettingsError if there are several and nobody to pick, DiscoveryError if none was found.
        """
        while True:
            over = looking.over
            found = looking.found()
            self._tell(looking, found)
            choice = self._clear(looking, found, known, over=over)
            if choice is not None:
                return choice
            if over:
                self._nothing(looking, found)
            looking.wait(_LOOK_AGAIN)

    def _clear(self, looking: Looking, found: Sequence[Found], known: str, *, over: bool) -> Found | None:
        """Return the one to join, if it is clear already; a person is asked if it will not become so."""
        usable = [one for one in found if not one.closed and (not known or known.startswith(one.fingerprint))]
        given = [one for one in usable if one.given]
        for one in given:
            if not (looking.trouble(one) and self.can_ask) or len(usable) == 1:
                return one
        if known:
            rivals = [one for one in usable if one.fingerprint] or usable
        elif self.wanted:
            rivals = [one for one in usable if one.is_named(self.wanted)] or given
        else:
            rivals = usable
        if not rivals or not (over or self._settled(looking, rivals)):
            return None
        return rivals[0] if len(rivals) == 1 else self._picked(looking, rivals)

    def _settled(self, looking: Looking, rivals: Sequence[Found]) -> bool:
        return looking.clock() - min(one.since for one in rivals) >= self.settling

    def _picked(self, looking: Looking, rivals: Sequence[Found]) -> Found | None:
        """Let a person pick; None if what was picked is not there any more."""
        if not self.can_ask:
            raise SettingsError(
                f"several initiators are called {self.wanted}"
                if self.wanted
                else "there are several initiators",
                problems=[_in_a_line(one) for one in rivals[:LISTED]],
                hint=f"say which with {OPTION}: its name, or its session or address where names are alike",
            )
        pick = Pick(
            question="Which initiator is this machine to join?",
            columns=("NAME", "ADDRESS", "FINGERPRINT", "FOUND BY", ""),
            rows=lambda: [_row(one, looking.trouble(one)) for one in looking.found()],
            least=1,
            most=1,
            otherwise=OPTION,
        )
        with looking.standing_still():
            picked = self.prompter.pick(pick)
        for one in looking.found():
            if one.key in picked and not one.closed:
                return one
        self.notice("that initiator is not there any more, or was started anew")
        return None

    # ---- what a person is told ------------------------------------------------------------------------

    def _tell(self, looking: Looking, found: Sequence[Found]) -> None:
        """Say once what a person should know while nothing is chosen."""
        for name, error in tuple(looking.failed.items()):
            if len(looking.failed) < len(looking.names):
                self._once(name, f"{name} cannot look for initiators: {error}")
        for one in found:
            if one.closed and (one.name == self.wanted or all(other.closed for other in found)):
                self._once(one.key, f"{one} {one.closed}; looking for others")
        if looking.search.seconds - looking.left >= self.first_word:
            if not found:
                self._once("silence", f"no initiator was heard yet ({_by(looking)}); {_ADDRESS}")
            elif self.wanted and not any(one.is_named(self.wanted) for one in found):
                self._once("others", f"{self.wanted} was not heard yet, but {_names(found)}; {_ADDRESS}")

    def _once(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.notice(text)

    def _nothing(self, looking: Looking, found: Sequence[Found]) -> None:
        """Ask whether to go on; return if so. Raises DiscoveryError with all that is known."""
        errors = {**looking.said, **looking.failed}
        # What a plugin says is about its last round; it is the whole answer only if that was the first.
        whole = looking.failed or looking.search.seconds <= looking.round
        if whole and len(errors) == 1 and not found and not looking.refused:
            (error,) = errors.values()
        else:
            error = _summary(looking, found, errors, self.wanted)
        if looking.left > 0 or not self.can_ask:
            raise error
        self.notice(f"{error}: {error.hint}" if error.hint else str(error))
        if not self.prompter.agree("Go on waiting?", default=True, otherwise="--patience SECONDS"):
            raise error
        looking.go_on()


_ADDRESS = "is `mcloud init` running there? Without discovery: --initiator-address HOST"


def _summary(
    looking: Looking, found: Sequence[Found], errors: dict[str, McloudError], wanted: str
) -> DiscoveryError:
    """Return what came of the search, in one error."""
    what = f"initiator {wanted}" if wanted else "initiator"
    reasons = [looking.refused] if looking.refused else []
    reasons += [f"{one} {one.closed}" for one in found if one.closed]
    if wanted and any(not one.closed for one in found):
        reasons.append(f"heard: {_names([one for one in found if not one.closed])}")
    reasons += [f"{name}: {error}" for name, error in errors.items()]
    hints = [error.hint for error in errors.values() if error.hint]
    if any(one.closed for one in found):
        hints.insert(0, "install the same version of mcloud on all machines")
    return DiscoveryError(
        "; ".join([f"no {what} was found in {looking.search.seconds:.0f} s", *reasons]),
        hint="; ".join(dict.fromkeys(hints)) or _ADDRESS,
    )


def _row(one: Found, trouble: str) -> Row:
    first, *others = one.addresses
    where = f"{first} port {one.port}" + (f" +{len(others)}" if others else "")
    cells = (one.name, where, one.mark or "not announced", ", ".join(one.plugins), trouble)
    return Row(key=one.key, cells=cells, closed=one.closed)


def _in_a_line(one: Found) -> str:
    parts = [str(one), f"fingerprint {one.mark}" if one.mark else ""]
    parts += [f"session {one.session}" if one.session else "", f"found by {', '.join(one.plugins)}"]
    return ", ".join(part for part in parts if part)


def _names(found: Sequence[Found]) -> str:
    """Return the names of some; a crowd is cut short."""
    names = list(dict.fromkeys(one.name for one in found))
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _by(looking: Looking) -> str:
    return " and ".join(dict.fromkeys(looking.names))
