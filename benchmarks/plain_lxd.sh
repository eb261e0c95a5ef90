# LXD by hand; sourced by plain.sh.
# shellcheck shell=bash

lxd_cluster() {
    local machine token

    part lxd "$first" 'found the cluster, with pool local'
    on "$first" lxd init --preseed <<END
config:
  core.https_address: $(address "$first"):8443
cluster:
  server_name: $first
  enabled: true
storage_pools:
- name: local
  driver: btrfs
  config: {source: /dev/sda}
END

    for machine in "${machines[@]:1}"; do
        part lxd "$machine" 'join'
        token=$(on "$first" lxc cluster add "$machine" --quiet </dev/null)
        on "$machine" lxd init --preseed <<END
cluster:
  server_name: $machine
  enabled: true
  server_address: $(address "$machine"):8443
  cluster_token: $token
  member_config:
  - {entity: storage-pool, name: local, key: source, value: /dev/sda}
END
    done

    for machine in "${machines[@]}"; do
        part lxd "$machine" 'volumes for images and backups'
        at "$first" "$machine" <<'END'
            lxc storage volume create local images --target "$1"
            lxc storage volume create local backups --target "$1"
            lxc config set --target "$1" storage.images_volume local/images
            lxc config set --target "$1" storage.backups_volume local/backups
END
    done
}

lxd_storage_and_networks() {
    part lxd "$first" 'pool remote'
    at "$first" "${machines[@]}" <<'END'
        for machine in "$@"; do lxc storage create remote ceph source=remote --target "$machine"; done
        lxc storage create remote ceph ceph.cluster_name=ceph ceph.user.name=lxd
END

    part lxd "$first" 'networks UPLINK and default'
    at "$first" "$(ovn_remotes 6641)" "${machines[@]}" <<'END'
        lxc config set network.ovn.northbound_connection "$1"
        shift
        for machine in "$@"; do
            lxc network create UPLINK --type=physical parent=br-uplink --target "$machine"
        done
        lxc network create UPLINK --type=physical \
            ipv4.gateway=192.0.2.1/24 ipv4.ovn.ranges=192.0.2.100-192.0.2.254 \
            ipv6.gateway=2001:db8:2::1/64 dns.nameservers=192.0.2.53
        lxc network create default --type=ovn network=UPLINK
END

    part lxd "$first" 'default profile'
    at "$first" <<'END'
        lxc profile device add default root disk path=/ pool=local
        lxc profile device add default eth0 nic name=eth0 network=default
END
}
