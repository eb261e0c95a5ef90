"""Tokens between their making and their joiner's turn: made one ahead, handed over in turn."""

from collections.abc import Callable, Mapping

from pydantic import SecretStr

from mcloud.turns import Turns


class Handing:
    """Has tokens made and hands them over, as far as each service admits machines at once. Thread-safe."""

    def __init__(
        self,
        limits: Mapping[str, int | None],
        *,
        make: Callable[[str, str], None],
        give: Callable[[str, str, SecretStr], None],
    ) -> None:
        """Take `Manifest.joins_at_once` by plugin; both calls are given a plugin and a joiner's name."""
        self._turns = Turns(limits)
        self._make = make
        self._give = give
        self._made: dict[tuple[str, str], SecretStr] = {}
        self._past: set[str] = set()  # who wants no more tokens: in, or out of this run

    def ask(self, plugin: str, name: str) -> None:
        """Take a joiner's question for a token; who asks first joins first."""
        self._past.discard(name)
        self._turns.ask(plugin, name)
        self._make_near(plugin)

    def made(self, plugin: str, name: str, token: SecretStr) -> None:
        """Keep a token until it is its joiner's turn."""
        # Kept first: the turn may come from another thread just now.
        self._made[plugin, name] = token
        if self._turns.ask(plugin, name):
            self._hand_over(plugin, name)
        if name in self._past:  # since it asked: it takes nobody's turn
            self.forget(name, plugin)

    def end(self, name: str, plugin: str | None = None) -> None:
        """End a joiner's turns, or that of one plugin, and give them to the next."""
        for one, other in self._turns.leave(name, plugin):
            self._hand_over(one, other)
            self._make_near(one)

    def forget(self, name: str, plugin: str | None = None) -> None:
        """Give a joiner that is in, or out of this run, no more tokens, and its turns to the next."""
        self._past.add(name)
        for key in [key for key in tuple(self._made) if key[1] == name]:
            self._made.pop(key, None)
        self.end(name, plugin)

    def _hand_over(self, plugin: str, name: str) -> None:
        """Give a joiner its token, if it has been made; else it goes as soon as it is."""
        if (token := self._made.pop((plugin, name), None)) is not None:
            self._give(plugin, name, token)

    def _make_near(self, plugin: str) -> None:
        """Have those made whose turn it is, and the next one: all at once is too much for a busy service."""
        for name in self._turns.near(plugin):
            self._make(plugin, name)
