"""Ctrl-C ends what is in hand, wherever in the program it comes."""

import gc
import signal
import threading

import pytest

from mcloud.cli.screen import Screen
from mcloud.cli.stopping import Stopped, stoppable
from mcloud.secrets import Secrets


class Interrupted:
    """Is interrupted while Python cleans it up, where whatever is raised is thrown away."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        [None for _ in range(100)]  # the handler runs between two instructions of Python


class InACircle(Interrupted):
    def __init__(self):
        self.itself = self


def wait_for_the_end():
    threading.Event().wait(10)


@pytest.mark.parametrize("kind", [Interrupted, InACircle])
def test_a_stop_that_comes_while_something_is_cleaned_up_is_not_lost(kind, capsys):
    with pytest.raises(Stopped) as stopped, stoppable(Screen(Secrets())):
        kind()
        gc.collect()
        wait_for_the_end()
    assert stopped.value.exit_code == 128 + signal.SIGINT
    assert "Exception ignored" not in capsys.readouterr().err
