"""One cloud of nine with the real services: all are in, nothing had to be started again."""

import clouds
import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

NINE, SERVERS = 9, 3


def test_nine_machines_form_a_healthy_cloud_of_nine_members(make_lab):
    lab = make_lab(machines=NINE)
    try:
        statuses = clouds.form(lab, clouds.cloud_file(NINE), seconds=600)
        assert not any(statuses.values()), f"{statuses}\n{clouds.logs(lab)}"
        clouds.eventually(lambda: clouds.amiss(lab, monitors=SERVERS), seconds=60)
        # Controllers came when the database was filled: none of them has died and been started again.
        assert {name: _restarts(lab.machine(name)) for name in lab.names()} == dict.fromkeys(lab.names(), 0)
        assert [line for name in lab.names() for line in clouds.done_twice(lab.machine(name))] == []
    finally:
        lab.down()


def _restarts(machine):
    died = "journalctl --unit ovn-controller --output=cat --quiet | grep -c 'Main process exited'"
    return int(machine.run(["sh", "-c", died], check=False).stdout)
