# Runs every function of the calling script whose name has two words or more, in order. Each holds
# when every command in it succeeds, and says one line.
failed=0

check() {
    name=$1
    # In the condition of an `if`, `set -e` would not count.
    said=$( (set -ex; "$name") 2>&1)
    status=$?
    if [ "$status" = 0 ]; then
        echo "dist: ok $name$(echo "$said" | sed -n 's/^note: /: /p')"
    else
        failed=$((failed + 1))
        echo "dist: failed $name ($status):"
        echo "$said" | tail -n 30 | sed 's/^/    /'
    fi
}

check_all() {
    for name in $(sed -n 's/^\([a-z]*_[a-z_]*\)() {$/\1/p' "$0"); do check "$name"; done
    [ "$failed" = 0 ]
}

# `! command` does not end a shell with `set -e`, whatever the command does: this does.
not() { if "$@"; then return 1; fi; }
within() { # SECONDS COMMAND…
    left=$(($1 * 10))
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}

# Every file, its kind, mode and owner; not what dpkg notes about packages, and what is mounted.
snapshot() {
    find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /opt -o -path /etc/group- \
        -o -path /etc/gshadow- -o -path /proc -o -path /dev -o -path /sys -o -path /run -o -path /tmp \) -prune \
        -o -printf '%y %m %u:%g %p %l\n' | LC_ALL=C sort
    find /var/log -xdev -printf '%y %m %u:%g %p\n' | grep -v -e /dpkg.log -e /alternatives.log -e /apt | LC_ALL=C sort
    sort /etc/group /etc/gshadow
}
