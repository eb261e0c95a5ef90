"""One error class per person who must act; each carries a hint that says how."""

from collections.abc import Sequence
from typing import ClassVar, Self


class McloudError(Exception):
    """Something a person can act on: the message says what, the hint says what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the message, and the hint apart from it."""
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """What happened, without the hint."""
        return str(self.args[0])

    def __str__(self) -> str:
        return self.message


class SettingsError(McloudError):
    """The operator has to change a value; `problems` lists every one of them."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[str] = ()) -> None:
        """Keep each problem as one line, `file:line key: what is wrong`."""
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class PluginError(McloudError):
    """The author of a plugin has to act."""

    exit_code = 3

    def __init__(self, message: str, *, plugin: str, hint: str = "") -> None:
        """Keep the plugin's name."""
        super().__init__(message, hint=hint)
        self.plugin = plugin


class Overdue(PluginError):  # noqa: N818 - an outcome
    """A plugin's code did not come back in its time; it was left where it was, and may do nothing more."""


class PlanError(McloudError):
    """The steps do not make a plan: a maker is missing, or they wait for each other."""

    exit_code = 4


class ServiceError(McloudError):
    """A service on a machine said no, or did not answer in time."""

    exit_code = 5


class UsedElsewhereError(ServiceError):
    """What this machine made for the whole cloud is in use on others: it is theirs from now on.

    Raised by an `undo`, it keeps nothing on this machine from being taken back: what stands on other
    machines needs nothing of it. The step counts as gone once its service has left this machine.
    """


class CommandError(ServiceError):
    """A command on a machine failed; its last lines are in the message."""

    def __init__(
        self, message: str, *, hint: str = "", exit_status: int | None = None, stderr: str = ""
    ) -> None:
        """Keep the exit status (None: it never ended) and what it said."""
        super().__init__(message, hint=hint)
        self.exit_status = exit_status
        self.stderr = stderr


class RunFailed(ExceptionGroup, McloudError):  # noqa: N818 - an outcome
    """A run stopped; all failures are inside, each with the name of its step as a note."""

    exit_code = 6

    def __new__(cls, message: str, failures: Sequence[Exception], *, hint: str = "") -> Self:
        """Make the group; ExceptionGroup takes its arguments here."""
        made = super().__new__(cls, message, list(failures))
        made.hint = hint
        return made

    def __init__(self, _message: str, _failures: Sequence[Exception], *, hint: str = "") -> None:
        """Set what `McloudError` has; the rest is done in `__new__`."""
        self.hint = hint

    def lines(self) -> list[str]:
        """Return each failure as one line: the key of its step, and what it said."""
        return [
            f"{note}: {error}"
            for error in self.exceptions
            for note in getattr(error, "__notes__", ("?",))[:1]
        ]

    # typeshed wants an overload for BaseException groups, which an ExceptionGroup never makes.
    def derive(self, failures: Sequence[Exception], /) -> "RunFailed":  # type: ignore[override]
        """Return a group of some of the failures, for `except*` and `split`."""
        return RunFailed(self.message, failures, hint=self.hint)

    def __str__(self) -> str:
        return self.message


class TrustError(McloudError):
    """The other side does not know the code, or is not who it says."""

    exit_code = 7


class ProtocolError(McloudError):
    """The other side said something it may not say now."""

    exit_code = 8


class DiscoveryError(McloudError):
    """No initiator was found."""

    exit_code = 9


def words(error: BaseException) -> str:
    """Return what an error says, with its kind where it is none of ours: a plugin may raise anything."""
    return str(error) if isinstance(error, McloudError) else f"{type(error).__name__}: {error}"
