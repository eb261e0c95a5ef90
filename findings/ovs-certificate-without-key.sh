#!/usr/bin/env bash
# Open vSwitch 3.1.0 (Debian 12) reads its TLS files again when they change, without a restart. A certificate that was
# renewed for the *same key* is not taken: key and certificate are read as a pair once both files changed, and the key's
# is looked at first. So after the new certificate is in place the key has to be written anew (or its time changed),
# in this order; until then the old certificate is presented for as long as the process lives. What is trusted (the CA's
# file) is read again by itself.
#
# Output seen:
#   serial presented at first: 01
#   serial presented after the certificate was renewed: 01
#   serial presented after the key's file was touched, too: 02
. "$(dirname "$0")/packages.bash"

unpack openvswitch-common=3.1.0-2+deb12u1 libunbound8 libxdp1 libbpf1 libevent-2.1-7

work=$root/tls
mkdir "$work"
openssl ecparam -name prime256v1 -genkey -noout -out "$work/key" 2>/dev/null
certify() { openssl req -new -x509 -key "$work/key" -subj /CN=finding -days 3650 -set_serial "$1" -out "$work/new"; }
certify 1 && mv "$work/new" "$work/certificate"
cp "$work/certificate" "$work/ca"
printf '{"name": "T", "tables": {"t": {"columns": {"c": {"type": "string"}}}}}' >"$work/schema"
ovsdb-tool create "$work/db" "$work/schema"
port=$((20000 + RANDOM % 20000))
ovsdb-server "$work/db" --remote="pssl:$port:127.0.0.1" --unixctl="$work/ctl" --no-chdir \
    --private-key="$work/key" --certificate="$work/certificate" --ca-cert="$work/ca" --log-file="$work/log" \
    >/dev/null 2>&1 &
started+=($!)

presented() { # serial of the certificate shown by the server, once it answers
    local serial
    for _ in $(seq 50); do
        serial=$(openssl s_client -connect "127.0.0.1:$port" -cert "$work/certificate" -key "$work/key" </dev/null \
            2>/dev/null | openssl x509 -noout -serial 2>/dev/null || true)
        [ -n "$serial" ] && break
        sleep 0.1
    done
    echo "${serial#serial=}"
}

expect "serial presented at first" "$(presented)" 01
certify 2 && mv "$work/new" "$work/certificate"
sleep 3
expect "serial presented after the certificate was renewed" "$(presented)" 01
touch "$work/key"
sleep 3
expect "serial presented after the key's file was touched, too" "$(presented)" 02
