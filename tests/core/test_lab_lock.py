"""One command at a time changes a lab."""

import os
import subprocess
import sys
import threading

import pytest

from mcloud.errors import McloudError
from mcloud.lab.lock import locked

HOLDER = """
import sys, pathlib
from mcloud.lab.lock import locked
with locked("x", state=pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _locked_at_once(tmp_path):
    return locked("x", state=tmp_path / "s", patience=0)


def test_a_second_command_is_told_who_holds_it(tmp_path):
    with locked("x", state=tmp_path / "s"):
        with pytest.raises(McloudError, match=str(os.getpid())) as refused, _locked_at_once(tmp_path):
            pass
        assert refused.value.hint


def test_labs_of_other_names_do_not_wait(tmp_path):
    with locked("x", state=tmp_path / "s"), locked("y", state=tmp_path / "s", patience=0):
        pass
    assert not (tmp_path / "s").exists()


def test_a_holder_that_is_killed_lets_go(tmp_path):
    state = tmp_path / "s"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(McloudError), _locked_at_once(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with _locked_at_once(tmp_path):
            pass
    assert not state.exists()


def test_many_at_once_come_one_after_another(tmp_path):
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with locked("x", state=tmp_path / "s"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert set(most) == {1}
