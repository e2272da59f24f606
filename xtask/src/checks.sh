# For scripts of checks, which source this. A check is a function below the line `# The checks.`; it
# holds when every command in it succeeds. `check_all` runs them in their order, and says one line
# for each to descriptor 3: `ok NAME`, with what it notes, or `failed NAME (STATUS): …`.
count=0
failed=0

check() {
    name=$1
    count=$((count + 1))
    # In the condition of an `if`, `set -e` would not count.
    said=$( (set -ex; "$name") 2>&1)
    status=$?
    if [ "$status" = 0 ]; then
        echo "ok $name$(echo "$said" | sed -n 's/^note: /: /p')" >&3
    else
        failed=$((failed + 1))
        echo "failed $name ($status): $(echo "$said" | tail -n 14 | tr '\n' '|')" >&3
    fi
}

check_all() {
    for name in $(sed -n '/^# The checks\.$/,$ s/^\([a-z_]*\)() {$/\1/p' "$0"); do check "$name"; done
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
