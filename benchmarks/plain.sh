#!/usr/bin/env bash
# Form the cloud as an operator does who follows the services' own manuals: one command after another,
# machine after machine, with the services' default timers.
#
# Called by plain.py, which names the MACHINES and sets ON_<machine> to what brings a command there
# (elsewhere: ssh), ADDRESS_<machine>, and TUNNEL_<machine>, the addresses on the underlay. The file TIMES
# gets a line when a part begins: time, service, machine, what.
#
# Where a command needs what an earlier one started, it is waited for, by asking again every tenth of a
# second; nothing else is waited for.
#
# Manuals: LXD "How to form a cluster" (preseed), "How to set up OVN"; Ceph "Manual deployment", "Adding
# monitors", "ceph-mgr administrator's guide", "Long form" of adding OSDs; ovn-ctl(8), ovs-pki(8).
set -euo pipefail

# shellcheck disable=SC2153 # it comes from outside
read -ra machines <<<"$MACHINES"
first=${machines[0]}
servers=("${machines[@]:0:3}") # the machines with monitors, managers and OVN's databases

part() { printf '%s\t%s\t%s\t%s\n' "$EPOCHREALTIME" "$@" >>"$TIMES"; }

address() { # address MACHINE
    local name="ADDRESS_$1"
    echo "${!name}"
}

joined() { # joined BETWEEN WORD...
    local IFS=$1
    shift
    echo "$*"
}

on() { # on MACHINE COMMAND...
    local way="ON_$1"
    shift
    # shellcheck disable=SC2086 # it is several words
    ${!way} "$@"
}

at() { # at MACHINE ARGUMENTS... <<'END': a script, without anything on its standard input
    local machine=$1
    shift
    on "$machine" bash -euo pipefail -c "$(declare -f until_true); $(cat)" "$machine" "$@" </dev/null
}

until_true() { # until_true COMMAND...: at most two minutes
    local try
    for ((try = 0; try < 1200; try++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "${0##*/}: not so after two minutes: $*" >&2
    exit 1
}

copy() { # copy FROM TO FILE...
    local from=$1 to=$2
    shift 2
    on "$from" tar --create --directory=/ "${@#/}" | on "$to" tar --extract --directory=/ --same-owner
}

here=$(dirname "$0")
# shellcheck source=plain_lxd.sh
source "$here/plain_lxd.sh"
# shellcheck source=plain_ovn.sh
source "$here/plain_ovn.sh"
# shellcheck source=plain_ceph.sh
source "$here/plain_ceph.sh"

lxd_cluster
ovn_cloud
ceph_cloud
lxd_storage_and_networks
