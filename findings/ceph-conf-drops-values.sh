#!/usr/bin/env bash
# Ceph 16.2.15 (Debian 12) takes some spellings of a value in ceph.conf and drops others, and says nothing of it: no
# warning, status 0, the default is in force. `--lookup` returns the text as it stands in the file, so it does not tell;
# `--show-config-value` does.
#
# What a good guess gets wrong: booleans are true, false, 1 and 0 only, so `no` and `yes`, which other sections of the
# same programs' options print and which most configuration files take, leave the default. For an option that is *on* by
# default, like auth_allow_insecure_global_id_reclaim, `= no` leaves it on. `1Gi` is a size and `3GiB` is none. Seconds
# have no unit in floats.
#
# Output seen:
#   auth_allow_insecure_global_id_reclaim = no: true
#   auth_allow_insecure_global_id_reclaim = false: false
#   ms_bind_ipv6 = yes: false
#   ms_bind_ipv6 = true: true
#   osd_memory_target = 3GiB: 4294967296
#   osd_memory_target = 3Gi: 3221225472
#   mon_lease = 30s: 5.000000
#   mon_lease = 30: 30.000000
. "$(dirname "$0")/packages.bash"

unpack ceph-common=16.2.15+ds-0+deb12u2 librados2=16.2.15+ds-0+deb12u2 \
    libboost-thread1.74.0 libboost-iostreams1.74.0 libfmt9 libibverbs1 librdmacm1 libnl-route-3-200 libnl-3-200

shown() { # OPTION VALUE: what is in force with this line
    printf '[global]\n%s = %s\n' "$1" "$2" >"$root/ceph.conf"
    ceph-conf --conf "$root/ceph.conf" --show-config-value "$1"
}

check() { expect "$1 = $2" "$(shown "$1" "$2" 2>&1)" "$3"; }

check auth_allow_insecure_global_id_reclaim no true
check auth_allow_insecure_global_id_reclaim false false
check ms_bind_ipv6 yes false
check ms_bind_ipv6 true true
check osd_memory_target 3GiB 4294967296
check osd_memory_target 3Gi 3221225472
check mon_lease 30s 5.000000
check mon_lease 30 30.000000
