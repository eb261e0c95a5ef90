#!/usr/bin/env bash
# `ovn-sbctl list` of OVN 23.03.1 (Debian 12) is no mere look: whatever it is asked, it first makes the one row of
# SB_Global in a southbound database that is new and has none. That row is otherwise northd's first deed, so who wants
# to see whether northd has been there must not ask with `ovn-sbctl`: asking makes it so. `ovsdb-client query` only
# reads. (Not every program of OVN bears a database without that row: have northd start first.)
#
# Output seen:
#   rows of SB_Global in a new database: 0
#   rows after `ovsdb-client query` was asked twice: 0
#   rows after `ovn-sbctl list Chassis`: 1
. "$(dirname "$0")/packages.bash"

unpack openvswitch-common=3.1.0-2+deb12u1 ovn-common=23.03.1-1~deb12u2 ovn-central=23.03.1-1~deb12u2 \
    libunbound8 libxdp1 libbpf1 libevent-2.1-7

southbound=unix:$root/sb.sock
ovsdb-tool create "$root/sb.db" "$root/system/usr/share/ovn/ovn-sb.ovsschema"
ovsdb-server "$root/sb.db" --remote="punix:$root/sb.sock" --unixctl="$root/sb.ctl" --no-chdir >/dev/null 2>&1 &
started+=($!)
for _ in $(seq 100); do [ -S "$root/sb.sock" ] && break || sleep 0.1; done

rows() {
    ovsdb-client query "$southbound" '["OVN_Southbound",{"op":"select","table":"SB_Global","where":[]}]' |
        grep -o '"_uuid"' | wc -l
}

expect "rows of SB_Global in a new database" "$(rows)" 0
expect "rows after \`ovsdb-client query\` was asked twice" "$(rows)" 0
ovn-sbctl --db="$southbound" --no-leader-only list Chassis >/dev/null
expect "rows after \`ovn-sbctl list Chassis\`" "$(rows)" 1
