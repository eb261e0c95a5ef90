"""A machine falls out when it is in, and comes back: it is in again, with what was made for it anew."""

from collections.abc import Iterator
from contextlib import contextmanager

from mcloud.errors import McloudError
from mcloud.preview import look
from mcloud.testing.contract.misfortune import Misfortune, repair, watched
from mcloud.testing.walk import Walk

_CUTS = 4
"""At how many of the uses of the machines, while one comes back, the power is cut."""


class Returning(Misfortune):
    """Hooks that are told of `fallen`, and steps that run once more for a machine that was in before."""

    def test_the_others_go_on_without_who_falls_out(self) -> None:
        """The steps for the smaller roster come to their end, are seen then, and can be planned again."""
        with self._formed() as walk:
            smaller = walk.without(self._out(walk))
            self._run(smaller, "without a machine that fell out")
            self._refuse_unseen(smaller, "without a machine that fell out")
            before = self._worlds(smaller)
            self._run(smaller, "once more without a machine that fell out")
            assert self._worlds(smaller) == before, "the same run again changed the machines"

    def test_who_fell_out_comes_back(self) -> None:
        """What `fallen` took away is made anew, all is seen as before, and undo still restores."""
        before: dict[str, object] = {}
        with self._formed(before) as walk:
            fallen = self._fall(walk)
            back = fallen.with_all_back()
            self._run(back, "when a machine comes back")
            self._refuse_unseen(back, "when a machine came back")
            self._refuse_old_tokens(walk, back)
            self._refuse_secrets_in_journals(back)
            self._undo(back)
            assert self._worlds(back) == before, "undo did not restore what was there, after a return"

    def test_who_comes_back_bears_a_power_cut(self) -> None:
        """Wherever the power fails meanwhile: the same command again brings it in."""
        with self._formed() as walk:
            back = self._fall(walk).with_all_back()
            counted = watched(back.hosts.values(), point=0, power=False)
            self._run(back, "when a machine comes back")
        points = sorted({1 + counted[0] * number // _CUTS for number in range(_CUTS) if counted[0]})
        for point in points:
            with self._formed() as walk:
                back = self._fall(walk).with_all_back()
                self._break(back, point, power=True)
                again = repair(back)
                self._run(again, f"after a power cut at use {point} of a return")
                self._refuse_unseen(again, f"after a power cut at use {point} of a return")

    @contextmanager
    def _formed(self, before: dict[str, object] | None = None) -> Iterator[Walk]:
        """Give a run that was formed, of two machines at least; and what there was before it."""
        self.machines = max(self.machines, 2)
        with self._begun() as walk:
            if before is not None:
                before |= self._worlds(walk)
            walk.run()
            yield walk

    def _out(self, walk: Walk) -> str:
        return walk.inputs.joiners[-1].name

    def _fall(self, walk: Walk) -> Walk:
        """Return the run without its last machine, which the others have gone on without."""
        smaller = walk.without(self._out(walk))
        self._run(smaller, "without a machine that fell out")
        return smaller

    def _run(self, walk: Walk, when: str) -> None:
        try:
            walk.run()
        except McloudError as error:
            said = "; ".join([str(error), *(str(one) for one in getattr(error, "exceptions", ()))])
            raise AssertionError(f"the run fails {when}: {said}") from error

    def _refuse_unseen(self, walk: Walk, when: str) -> None:
        for machine, key, step in self._steps(walk):
            around = walk.executions[machine].around
            assert look(around, around.plan.steps[key][0], step) is not None, (
                f"{key}: its probe does not see it {when}"
            )

    def _refuse_old_tokens(self, walk: Walk, back: Walk) -> None:
        """Refuse a machine that came back and took nothing of the tokens that were made for it anew."""
        machine = self._out(walk)
        old, new = (one.tokens.get((self.name, machine)) for one in (walk, back))
        if old is None:
            return
        assert new is not None, f"{machine} came back, and asked for no new token"
        first = old.get_secret_value()
        # Read without a note: whether a step has looked is what is asked.
        looked, second = new.looked_at, new.get_secret_value()
        if first == second:
            return
        assert looked, (
            f"{machine} came back, and no step looked at the token that was made for it anew: "
            "what was made with the first one may be revoked"
        )
        texts = [file.content for file in back.hosts[machine].files.values()]
        stays = any(first.encode() in text for text in texts)
        assert not stays or any(second.encode() in text for text in texts), (
            f"{machine} came back, and lives on its first token, which may be revoked"
        )
