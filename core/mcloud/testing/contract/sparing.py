"""Files of others at the paths that a plugin writes: undo brings them back as they were."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from mcloud.errors import McloudError
from mcloud.testing.contract.subject import Subject
from mcloud.testing.filing import FakeFile

_STRANGER = "4711:4712"
_DATA = ("/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/lib/")  # noqa: S108 - of a fake machine
"""Where nobody keeps files of his own at a path that a service names: devices, and services' own data."""


class Sparing(Subject):
    """Machines on which somebody was there first."""

    def test_undo_restores_files_of_others(self) -> None:
        """Somebody's own file where the plugin writes one: after undo it has its content, mode and owner."""
        for path in self._written():
            with self._begun() as walk:
                for host in walk.hosts.values():
                    there = host.files.get(path, FakeFile(content=b"# somebody's own\n"))
                    host.files[path] = replace(there, mode=0o600, owner=_STRANGER)
                before = {name: host.files[path] for name, host in walk.hosts.items()}
                with suppress(McloudError):  # it may refuse to run there
                    walk.run()
                left = {key.rpartition("/")[2] for one in walk.undo().values() for key in one.left}
                for name, host in walk.hosts.items():
                    assert host.files.get(path) == before[name] or left & {*self.stays}, (
                        f"undo did not restore {path} of {name}, which was there before with mode 0600 and "
                        "another owner: ctx.keep_file, ctx.restore_file"
                    )

    def _written(self) -> Collection[str]:
        """Return the paths at which a whole run writes files that could be somebody's."""
        paths = set[str]()

        def note(what: str) -> None:
            verb, _, path = what.partition(" ")
            if verb == "write" and not path.startswith(_DATA):
                paths.add(path)

        with self._begun() as walk:
            for host in walk.hosts.values():
                host.before = note
            with suppress(McloudError):  # told by another test
                walk.run()
        return sorted(paths)
