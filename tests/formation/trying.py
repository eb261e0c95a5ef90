"""Many tries side by side: how many there are to be, and where."""

import os
from concurrent.futures import ThreadPoolExecutor

from breaking import Broken

from mcloud.testing.host import PowerLost
from mcloud.testing.power import dying_quietly

EVERYTHING = float(os.environ.get("MCLOUD_FUZZ", "1")) > 1
"""Whether to try all there is, as MCLOUD_FUZZ=20 wants it; else a part of it that differs by place."""
SIDE_BY_SIDE = 12
"""Clouds that are broken at once: most of the time each waits for something."""


def try_all(cases, attempt):
    """Run `attempt(case)` for all cases, side by side; AssertionError tells of those that broke."""
    cases = list(cases)

    def tried(case):
        try:
            attempt(case)
        except (Exception, PowerLost) as error:  # noqa: BLE001 - whatever it was, it is told with its case
            return f"{case}\n    {type(error).__name__}: {str(error)[:1500]}"
        return ""

    with dying_quietly(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        broken = [said for said in pool.map(tried, cases) if said]
    assert not broken, f"{len(broken)} of {len(cases)}:\n" + "\n".join(broken[:10])
    return len(cases)


def undisturbed(machines):
    """Return what there is to break in a run: the lines, uses and records of each machine."""
    with Broken(machines) as broken:
        broken.cloud.form().good()
        broken.check_cloud()
        lines = {(name, "line"): len(broken.cloud[name].lines()) for name in broken.names}
        return {**broken.counts, **lines}
