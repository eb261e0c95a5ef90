"""What all tests share: none of them sees this machine's own state."""

import sys
from collections.abc import Iterator

import pytest

OWN_STATE = "/var/lib/mcloud"
TOUCHING = frozenset({"open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})
_under_test = False


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch) -> Iterator[None]:
    global _under_test  # noqa: PLW0603 - an audit hook cannot be taken away again
    monkeypatch.setenv("MCLOUD_STATE", str(tmp_path / "state"))
    _under_test = True
    yield
    _under_test = False


def _refuse_own_state(event: str, arguments: tuple[object, ...]) -> None:
    """Fail a test that opens, lists or changes what mcloud has of this very machine."""
    if _under_test and event in TOUCHING and str(arguments[0]).startswith(OWN_STATE):
        msg = f"a test uses this machine's own {arguments[0]}"
        raise AssertionError(msg)


sys.addaudithook(_refuse_own_state)
