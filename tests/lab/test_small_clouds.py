"""Clouds of two machines and of one: they form, and what that costs in safety is said."""

import json

import clouds
import pytest

from mcloud.lab.forming import LOG

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("machines", "warnings"), [(2, ()), (1, ("POOL_NO_REDUNDANCY",))], ids=["two machines", "one machine"]
)
def test_a_small_cloud_forms_and_says_what_it_cannot_bear(make_lab, machines, warnings):
    lab = make_lab(machines=machines)
    try:
        clouds.formed(lab, clouds.cloud_file(machines))
        assert clouds.amiss(lab, monitors=1, warnings=warnings) == []
        dump = json.loads(lab.machine("n1").run(["ceph", "osd", "dump", "--format", "json"]).stdout)
        copies = {(pool["size"], pool["min_size"]) for pool in dump["pools"]}
        assert copies == {(machines, machines)}, "with two copies, one is never enough to write"
        said = lab.machine("n1").run(["cat", LOG]).stdout
        assert "WARNING" in said
        print("\n".join(line for line in said.splitlines() if line.startswith("WARNING")))
    finally:
        lab.down()
