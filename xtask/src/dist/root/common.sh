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
