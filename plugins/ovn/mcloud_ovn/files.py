"""Files of OVN on a machine, and what is written into them."""

from collections.abc import Sequence

KEY = "/etc/ovn/key_host"
CERTIFICATE = "/etc/ovn/cert_host"
AUTHORITY = "/etc/ovn/ovn-central.crt"
"""The CA's certificate. These three names are where LXD 5.0 looks, before any settings of its own."""

AUTHORITY_KEY = "/etc/ovn/ovn-central.key"
"""The CA's key: on the first three machines of the roster only."""

CENTRAL_DEFAULTS = "/etc/default/ovn-central"
NORTHD_PARAMETERS = "/etc/ovn/ovn-northd-db-params.conf"
"""Where northd finds the databases (ovn-ctl(8)). While it exists, stopping or losing northd leaves this
machine's databases alone; without it Debian's unit stops them as well."""

HOST_DEFAULTS = "/etc/default/ovn-host"

BANNER = "# Written by mcloud. What was here before comes back with `mcloud undo`.\n"

PACKAGED = {
    path: "# This is a POSIX shell fragment                -*- sh -*-\n\n"
    "# OVN_CTL_OPTS: Extra options to pass to ovs-ctl.  This is, for example,\n"
    f"# a suitable place to specify --{daemon}-wrapper=valgrind.\n# OVN_CTL_OPTS=\n"
    for path, daemon in ((CENTRAL_DEFAULTS, "ovn-northd"), (HOST_DEFAULTS, "ovn-controller"))
}
"""The same files as Debian's packages bring them, where nobody knows any more what was there."""


def defaults(options: Sequence[str]) -> str:
    """Return a file for systemd's EnvironmentFile that gives `ovn-ctl` these options."""
    return f'{BANNER}OVN_CTL_OPTS="{" ".join(options)}"\n'
