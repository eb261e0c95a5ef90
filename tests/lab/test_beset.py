"""A run beset by what no service is to blame for: a full disk, and clocks that jump by years."""

import clouds
import faults
import pytest

from mcloud.lab.forming import FILE, LOG, begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

STATE = "/var/lib/mcloud"
FILL = f"mount -t tmpfs -o mode=0700,size=1m tmpfs {STATE}"


def at_another_time(machine, jump):
    """Type the command on a machine whose clock has jumped, as mcloud sees it (faketime(1)).

    The monotonic clock does not jump, on no machine.
    """
    env = "env FAKETIME_DONT_FAKE_MONOTONIC=1"
    line = f"exec {env} faketime -f {jump} mcloud preseed {FILE} >>{LOG} 2>&1 </dev/null"
    return machine.popen(["sh", "-c", line])


def test_a_full_disk_and_jumping_clocks_delay_it_and_harm_nothing(make_lab):
    lab = make_lab(machines=3)
    n2 = lab.machine("n2")
    n2.run(["sh", "-c", f"mkdir -p {STATE} && {FILL}"])
    hand_out(lab, clouds.cloud_file(3))
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    assert not faults.wait_for_start(lab, "n2", "join/ovn/n2/n2/interfaces", running["n2"])
    n2.run(["sh", "-c", f"cat /dev/zero >{STATE}/filler"], check=False)
    assert running["n2"].wait(timeout=60) != 0
    assert "cannot be written: No space left on device" in n2.run(["cat", LOG]).stdout
    n2.run(["rm", f"{STATE}/filler"])
    for name, jump in (("n1", "-400d"), ("n3", "+400d")):
        running[name].kill()
        running[name].wait()
        running[name] = at_another_time(lab.machine(name), jump)
    stuck = faults.typed_again(lab, running)
    assert not stuck, "\n".join(stuck)
    clouds.eventually(lambda: clouds.amiss(lab, monitors=3), seconds=60)
    assert not [key for name in lab.names() for key in clouds.done_twice(lab.machine(name))]
