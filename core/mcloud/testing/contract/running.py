"""Steps that run: seen by their probes, done once, adopted by a new run, taken back by undo."""

from dataclasses import replace

from mcloud.testing.contract.subject import Subject
from mcloud.testing.folder import memory_folder


class Running(Subject):
    """A run in which all goes well."""

    def test_it_runs_and_its_probes_see_it(self) -> None:
        """Every step does something on a fresh machine, and its probe sees it then and not before."""
        with self._begun() as walk:
            walk.run()
            for machine, key, step in self._steps(walk):
                adopted = walk.journal(machine).last(key) == "adopted"
                assert not adopted or step.name in self.adopts, (
                    f"{key}: its probe says on a fresh machine that there is nothing to do"
                )
            self._refuse_secrets_in_journals(walk)

    def test_running_again_does_nothing(self) -> None:
        """The same run again is over at once, and a new run finds everything done and leaves it alone."""
        with self._begun() as walk, memory_folder() as new:
            walk.run()
            before = self._worlds(walk)
            walk.run()
            assert self._worlds(walk) == before, "the same run again changed the machine"
            anew = replace(walk, folder=new)
            anew.run()
            assert self._worlds(walk) == before, "a new run changed what was done already"
            for machine, key, _step in self._steps(walk):
                assert anew.journal(machine).last(key) == "adopted", f"{key}: a new run did not see it"
            anew.undo()
            assert self._worlds(walk) == before, "undo took back what was adopted"

    def test_undo_restores_what_was_there(self) -> None:
        """After an undo the machine is as it was."""
        with self._begun() as walk:
            before = self._worlds(walk)
            walk.run()
            self._undo(walk)
            assert self._worlds(walk) == before, "undo did not restore what was there before"
