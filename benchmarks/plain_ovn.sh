# OVN by hand: rafts of three over TLS, and where the kernel has no Open vSwitch, packets in userspace.
# Sourced by plain.sh.
# shellcheck shell=bash

ovn_cloud() {
    local machine
    ovn_certificates
    for machine in "${machines[@]}"; do ovn_bridges "$machine"; done
    ovn_found
    for machine in "${servers[@]:1}"; do ovn_join "$machine"; done
    for machine in "${servers[@]}"; do ovn_northd "$machine"; done
    for machine in "${machines[@]}"; do ovn_controller "$machine"; done
    part ovn "$first" 'a change goes through all of it'
    at "$first" "$(ovn_remotes 6641)" <<'END'
        ovn-nbctl --db="$1" --private-key=/etc/ovn/key_host --certificate=/etc/ovn/cert_host \
            --ca-cert=/etc/ovn/ovn-central.crt --timeout=60 --wait=hv sync
END
}

ovn_remotes() { # ovn_remotes PORT
    local machine remotes=()
    for machine in "${servers[@]}"; do remotes+=("ssl:$(address "$machine"):$1"); done
    joined , "${remotes[@]}"
}

ovn_certificates() {
    local machine
    # Names and places are those where LXD 5.0 looks for them.
    part ovn "$first" 'certificate authority'
    at "$first" <<'END'
        ovs-pki --force init
        cp /var/lib/openvswitch/pki/switchca/cacert.pem /etc/ovn/ovn-central.crt
END
    for machine in "${machines[@]}"; do
        part ovn "$machine" 'key and certificate'
        at "$machine" <<'END'
            cd /etc/ovn
            ovs-pki --force req "$0"
            install --mode=0600 "$0-privkey.pem" key_host
END
        if [ "$machine" != "$first" ]; then copy "$machine" "$first" "/etc/ovn/$machine-req.pem"; fi
        at "$first" "$machine" <<'END'
            cd /etc/ovn
            ovs-pki --batch --force sign "$1" switch
END
        if [ "$machine" != "$first" ]; then
            copy "$first" "$machine" "/etc/ovn/$machine-cert.pem" /etc/ovn/ovn-central.crt
        fi
        at "$machine" <<'END'
            cp "/etc/ovn/$0-cert.pem" /etc/ovn/cert_host
END
    done
}

ovn_bridges() {
    local addresses="TUNNEL_$1"
    part ovn "$1" 'bridges to the underlay and the uplink'
    # shellcheck disable=SC2086 # they are several words
    at "$1" ${!addresses} <<'END'
        ovs-vsctl --may-exist add-br br-underlay -- set bridge br-underlay datapath_type=netdev \
            -- --may-exist add-port br-underlay eth2
        ovs-vsctl --may-exist add-br br-uplink -- set bridge br-uplink datapath_type=netdev \
            -- --may-exist add-port br-uplink eth1
        # The interfaces' side, now and after each boot.
        cat >/etc/systemd/system/bridges.service <<UNIT
[Unit]
Wants=network-online.target
After=network-online.target openvswitch-switch.service
Before=ovn-controller.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set dev eth1 up
ExecStart=ip link set dev eth2 up
ExecStart=ip link set dev br-underlay up
ExecStart=-ethtool --offload br-underlay tx off
$(for address in "$@"; do
    echo "ExecStart=ip address replace $address dev br-underlay"
    echo "ExecStart=-ip address del $address dev eth2"
done)
[Install]
WantedBy=multi-user.target
UNIT
        systemctl enable --now --quiet bridges.service
END
}

ovn_options() { # ovn_options MACHINE [PEER]: /etc/default/ovn-central
    local database options=()
    for database in nb sb; do
        options+=("--db-$database-cluster-local-addr=$(address "$1")" "--db-$database-cluster-local-proto=ssl")
        if [ $# = 2 ]; then
            options+=("--db-$database-cluster-remote-addr=$(address "$2")")
            options+=("--db-$database-cluster-remote-proto=ssl")
        fi
        options+=("--db-$database-create-insecure-remote=no" "--ovn-$database-db-ssl-key=/etc/ovn/key_host")
        options+=("--ovn-$database-db-ssl-cert=/etc/ovn/cert_host")
        options+=("--ovn-$database-db-ssl-ca-cert=/etc/ovn/ovn-central.crt")
    done
    options+=("--ovn-northd-nb-db=$(ovn_remotes 6641)" "--ovn-northd-sb-db=$(ovn_remotes 6642)")
    options+=(--ovn-northd-ssl-key=/etc/ovn/key_host --ovn-northd-ssl-cert=/etc/ovn/cert_host)
    options+=(--ovn-northd-ssl-ca-cert=/etc/ovn/ovn-central.crt)
    echo "OVN_CTL_OPTS=\"${options[*]}\""
}

ovn_servers() { # ovn_servers MACHINE [PEER]: put away the package's empty databases, start in the rafts
    at "$1" "$(ovn_options "$@")" <<'END'
        systemctl stop ovn-central ovn-northd ovn-ovsdb-server-nb ovn-ovsdb-server-sb
        rm --force /var/lib/ovn/ovn[ns]b_db.db /var/lib/ovn/.ovn[ns]b_db.db.~lock~
        echo "$1" >/etc/default/ovn-central
        systemctl start ovn-ovsdb-server-nb ovn-ovsdb-server-sb
        until_true ovsdb-client --timeout=5 wait unix:/run/ovn/ovnnb_db.sock OVN_Northbound connected
        until_true ovsdb-client --timeout=5 wait unix:/run/ovn/ovnsb_db.sock OVN_Southbound connected
END
}

ovn_found() {
    part ovn "$first" 'found both databases'
    ovn_servers "$first"
    at "$first" <<'END'
        ovn-nbctl set-connection pssl:6641
        ovn-sbctl set-connection pssl:6642
END
}

ovn_join() {
    part ovn "$1" 'join both databases'
    ovn_servers "$1" "$first"
}

ovn_northd() {
    part ovn "$1" 'northd'
    at "$1" <<'END'
        systemctl enable --quiet ovn-central
        systemctl start ovn-central ovn-northd
END
}

ovn_controller() {
    local addresses="TUNNEL_$1"
    part ovn "$1" 'controller'
    at "$1" "$(ovn_remotes 6642)" "${!addresses%%/*}" <<'END'
        systemctl stop ovn-controller
        tls="--ovn-controller-ssl"
        echo "OVN_CTL_OPTS=\"$tls-key=/etc/ovn/key_host $tls-cert=/etc/ovn/cert_host" \
            "$tls-ca-cert=/etc/ovn/ovn-central.crt\"" >/etc/default/ovn-host
        ovs-vsctl set open_vswitch . external-ids:ovn-remote="\"$1\"" \
            external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip="$2" \
            external-ids:ovn-bridge-datapath-type=netdev
        ovs-vsctl set bridge br-int datapath_type=netdev
        systemctl enable --quiet ovn-host
        systemctl start ovn-host ovn-controller
        connected() { [ "$(ovn-appctl -t ovn-controller connection-status)" = connected ]; }
        until_true connected
END
}
