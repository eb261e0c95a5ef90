"""`mcloud` killed with SIGKILL in the middle of a run: the same command again completes it."""

import time

import clouds
import pytest

from mcloud.lab.forming import begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

# Which machine's mcloud is killed, and the journal line of its own at which it is.
MOMENTS = {
    "founding": [("n1", "started", "bootstrap/ceph"), ("n2", "started", "join/ovn")],
    "entering": [("n1", "done", "issue_token/"), ("n3", "started", "join/ceph/n3/n3/osd")],
    "configuring": [("n2", "started", "join/lxd"), ("n1", "started", "configure/lxd")],
}


@pytest.mark.parametrize("moments", MOMENTS.values(), ids=MOMENTS)
def test_the_same_command_completes_a_run_that_was_killed(make_lab, moments):
    lab = make_lab(machines=3)
    try:
        hand_out(lab, clouds.cloud_file(3))
        running = {name: begin(lab.machine(name)) for name in lab.names()}
        for name, event, key in moments:
            _wait_for_line(lab, lab.machine(name), event, key)
            running[name].kill()
            running[name].wait()
            running[name] = begin(lab.machine(name))
        statuses = {name: process.wait(timeout=300) for name, process in running.items()}
        assert not any(statuses.values()), f"{statuses}\n{clouds.logs(lab)}"
        assert clouds.amiss(lab, monitors=3) == []
        assert [key for name in lab.names() for key in clouds.done_twice(lab.machine(name))] == []
        for name, event, key in moments:
            print(f"killed on {name} at '{event} {key}': {_story(lab.machine(name), key)}")
    finally:
        lab.down()


def _wait_for_line(lab, machine, event, key):
    """Return when the journal has such a line, and it is not yet the end of the run."""
    deadline = time.monotonic() + 120
    while True:
        lines = clouds.journal(machine)
        if any(line["event"] == event and str(line["key"]).startswith(key) for line in lines):
            assert not any(line["event"] == "finished" for line in lines)
            return
        said = [f"{line['event']} {line['key']} {line.get('error', '')}" for line in lines]
        assert time.monotonic() < deadline, f"no {event} {key} in {said}\n{clouds.logs(lab)}"
        time.sleep(0.02)


def _story(machine, key):
    return [
        f"{line['event']} {line['key']}"
        for line in clouds.journal(machine)
        if str(line["key"]).startswith(key)
    ]
