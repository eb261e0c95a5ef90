"""Waiting times that are short while a cluster forms, and Ceph's own again when it has."""

FORMING = {
    # Changes of the maps are collected for up to 1 s before they are agreed on; each OSD's start makes five.
    ("mon", "paxos_propose_interval"): "0.05",
    ("mon", "paxos_min_wait"): "0.02",
    # While the second and third monitor come in there is no quorum for as long as these (5 s and 2 s).
    ("mon", "mon_election_timeout"): "0.5",
    ("mon", "mon_probe_timeout"): "0.5",
    # An OSD opens its disk some ten times in its start, and each closing waits for this one (250 ms).
    ("osd", "bdev_aio_poll_ms"): "10",
    # How often OSDs tell of their placement groups (5 s) and the manager passes it on (2 s).
    ("mgr", "mgr_stats_period"): "1",
    ("mgr", "mgr_tick_period"): "1",
}
"""Kept in the cluster itself, where running daemons follow both ways without a restart."""

PROBE_TIMEOUT = "0.5"
USUAL_PROBE_TIMEOUT = "2"
"""Seconds of mon_probe_timeout: a joining monitor cannot read it from a cluster it is not in yet."""

MAKING = ("--bdev_aio_poll_ms=10",)
"""Options of `ceph-osd --mkfs`, for the same reason."""
