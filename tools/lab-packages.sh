#!/bin/sh
# Installs what the lab and the services in it need, and starts none of it on this machine.
set -eu

packages="
  lxd lxd-client btrfs-progs squashfs-tools uidmap dnsmasq-base
  ceph-mon ceph-mgr ceph-osd ceph-mds ceph-common
  ovn-central ovn-host openvswitch-switch
  systemd-container systemd-sysv dbus udev iproute2 nftables ethtool iputils-ping
  busybox-static openssl jq faketime
"

missing=""
for package in $packages; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "Installing:$missing"

# invoke-rc.d and deb-systemd-invoke ask this file before they start a service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # the list is meant to be split
apt-get install -qq -y --no-install-recommends $missing > /dev/null
