"""What all tests share: none of them sees this machine's own state."""

import pytest


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("MCLOUD_STATE", str(tmp_path / "state"))
