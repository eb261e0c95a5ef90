# Sourced by the findings: unpacks pinned Debian packages below a temporary folder, which goes at the end.
set -euo pipefail

root=$(mktemp -d)
chmod 0755 "$root"
started=()
cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$root"
}
trap cleanup EXIT

# unpack PACKAGE=VERSION ...
unpack() {
    mkdir -p "$root/debs" "$root/system"
    chown _apt "$root/debs" 2>/dev/null || true
    (cd "$root/debs" && apt-get -qq download "$@")
    local deb
    for deb in "$root"/debs/*.deb; do dpkg -x "$deb" "$root/system"; done
    local arch
    arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
    export LD_LIBRARY_PATH="$root/system/usr/lib/$arch:$root/system/lib/$arch:$root/system/usr/lib/$arch/ceph"
    export PATH="$root/system/usr/sbin:$root/system/sbin:$root/system/usr/bin:$root/system/bin:$PATH"
}

# expect WHAT GOT WANTED
expect() {
    if [ "$2" != "$3" ]; then
        printf 'CHANGED: %s is [%s], was [%s]\n' "$1" "$2" "$3" >&2
        exit 1
    fi
    printf '%s: %s\n' "$1" "$2"
}
