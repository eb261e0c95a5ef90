# Ceph by hand: three monitors, three managers, one OSD on each machine, and a pool. Sourced by plain.sh.
# shellcheck shell=bash

ceph_cloud() {
    local machine
    ceph_first_monitor
    for machine in "${machines[@]:1}"; do ceph_member "$machine"; done
    for machine in "${servers[@]:1}"; do ceph_next_monitor "$machine"; done
    for machine in "${machines[@]}"; do ceph_conf "$machine"; done
    for machine in "${servers[@]}"; do ceph_manager "$machine"; done
    for machine in "${machines[@]}"; do ceph_osd "$machine"; done
    ceph_osds_up
    ceph_pool
    ceph_health
}

ceph_first_monitor() {
    part ceph "$first" 'first monitor'
    at "$first" "$(address "$first")" <<'END'
        fsid=$(uuidgen)
        printf '%s\n' '[global]' "fsid = $fsid" "mon_initial_members = $0" "mon_host = $1" \
            'public_network = 10.10.0.0/24' 'osd_pool_default_size = 3' >/etc/ceph/ceph.conf
        ceph-authtool --create-keyring /var/lib/ceph/tmp/mon.keyring --gen-key -n mon. --cap mon 'allow *'
        ceph-authtool --create-keyring /etc/ceph/ceph.client.admin.keyring --gen-key -n client.admin \
            --cap mon 'allow *' --cap mgr 'allow *' --cap osd 'allow *' --cap mds 'allow *'
        ceph-authtool --create-keyring /var/lib/ceph/bootstrap-osd/ceph.keyring --gen-key \
            -n client.bootstrap-osd --cap mon 'profile bootstrap-osd' --cap mgr 'allow r'
        ceph-authtool /var/lib/ceph/tmp/mon.keyring --import-keyring /etc/ceph/ceph.client.admin.keyring
        ceph-authtool /var/lib/ceph/tmp/mon.keyring --import-keyring /var/lib/ceph/bootstrap-osd/ceph.keyring
        monmaptool --create --add "$0" "$1" --fsid "$fsid" /var/lib/ceph/tmp/monmap
        install --directory --owner=ceph --group=ceph "/var/lib/ceph/mon/ceph-$0"
        chown ceph:ceph /var/lib/ceph/tmp/mon.keyring
        ceph-mon --mkfs -i "$0" --monmap /var/lib/ceph/tmp/monmap --keyring /var/lib/ceph/tmp/mon.keyring \
            --setuser ceph --setgroup ceph
        rm /var/lib/ceph/tmp/mon.keyring /var/lib/ceph/tmp/monmap
        systemctl enable --now --quiet "ceph-mon@$0"
        until_true ceph --connect-timeout 5 quorum_status
        ceph mon enable-msgr2
        ceph config set mon auth_allow_insecure_global_id_reclaim false
END
}

ceph_member() {
    part ceph "$1" 'configuration and keys'
    copy "$first" "$1" /etc/ceph/ceph.conf /etc/ceph/ceph.client.admin.keyring \
        /var/lib/ceph/bootstrap-osd/ceph.keyring
}

ceph_next_monitor() {
    part ceph "$1" 'monitor'
    at "$1" <<'END'
        ceph auth get mon. -o /var/lib/ceph/tmp/mon.keyring
        ceph mon getmap -o /var/lib/ceph/tmp/monmap
        chown ceph:ceph /var/lib/ceph/tmp/mon.keyring
        install --directory --owner=ceph --group=ceph "/var/lib/ceph/mon/ceph-$0"
        ceph-mon --mkfs -i "$0" --monmap /var/lib/ceph/tmp/monmap --keyring /var/lib/ceph/tmp/mon.keyring \
            --setuser ceph --setgroup ceph
        rm /var/lib/ceph/tmp/mon.keyring /var/lib/ceph/tmp/monmap
        systemctl enable --now --quiet "ceph-mon@$0"
        in_quorum() { ceph --connect-timeout 5 quorum_status | jq -e ".quorum_names | index(\"$0\")"; }
        until_true in_quorum
END
}

ceph_conf() {
    local server addresses=()
    for server in "${servers[@]}"; do addresses+=("$(address "$server")"); done
    part ceph "$1" 'list of monitors'
    at "$1" "$(joined , "${addresses[@]}")" <<'END'
        sed --in-place "s/^mon_host = .*/mon_host = $1/; /^mon_initial_members/d" /etc/ceph/ceph.conf
END
}

ceph_manager() {
    part ceph "$1" 'manager'
    at "$1" <<'END'
        install --directory --owner=ceph --group=ceph "/var/lib/ceph/mgr/ceph-$0"
        ceph auth get-or-create "mgr.$0" mon 'profile mgr' osd 'allow *' mds 'allow *' \
            -o "/var/lib/ceph/mgr/ceph-$0/keyring"
        chown ceph:ceph "/var/lib/ceph/mgr/ceph-$0/keyring"
        systemctl enable --now --quiet "ceph-mgr@$0"
END
}

ceph_osd() {
    part ceph "$1" 'OSD'
    at "$1" <<'END'
        uuid=$(uuidgen)
        bootstrap=(-n client.bootstrap-osd -k /var/lib/ceph/bootstrap-osd/ceph.keyring)
        secret=$(ceph-authtool --gen-print-key)
        id=$(ceph osd new "$uuid" -i - "${bootstrap[@]}" <<<"{\"cephx_secret\": \"$secret\"}")
        folder=/var/lib/ceph/osd/ceph-$id
        install --directory --owner=ceph --group=ceph "$folder"
        ln --symbolic /dev/sdb "$folder/block"
        (umask 077 && printf '[osd.%s]\n\tkey = %s\n' "$id" "$secret" >"$folder/keyring")
        chown ceph:ceph "$folder/keyring" /dev/sdb
        ceph-osd --mkfs -i "$id" --osd-uuid "$uuid" --setuser ceph --setgroup ceph
        # The disk is root's again after a boot.
        mkdir "/etc/systemd/system/ceph-osd@$id.service.d"
        printf '[Service]\nExecStartPre=+/bin/chown ceph:ceph /dev/sdb\n' \
            >"/etc/systemd/system/ceph-osd@$id.service.d/disk.conf"
        systemctl enable --now --quiet "ceph-osd@$id"
END
}

ceph_osds_up() { # the manual looks once all are started, too
    part ceph "$first" 'OSDs come up'
    at "$first" "${#machines[@]}" <<'END'
        all_up() { ceph osd dump -f json | jq -e "[.osds[] | select(.up == 1)] | length == $1"; }
        until_true all_up "$1"
END
}

ceph_pool() {
    local machine
    part ceph "$first" 'pool and its client'
    at "$first" <<'END'
        ceph osd pool create remote 32
        rbd pool init remote
        ceph auth get-or-create client.lxd mon 'profile rbd' mgr 'profile rbd pool=remote' \
            osd 'profile rbd pool=remote' -o /etc/ceph/ceph.client.lxd.keyring
        chmod 0600 /etc/ceph/ceph.client.lxd.keyring
END
    for machine in "${machines[@]:1}"; do copy "$first" "$machine" /etc/ceph/ceph.client.lxd.keyring; done
}

ceph_health() {
    part ceph "$first" 'health'
    at "$first" <<'END'
        sound() {
            ceph status -f json | jq -e '.health.status == "HEALTH_OK" and .pgmap.num_pgs > 0
                and ([.pgmap.pgs_by_state[] | select(.state_name == "active+clean").count] | add)
                    == .pgmap.num_pgs'
        }
        until_true sound
END
}
