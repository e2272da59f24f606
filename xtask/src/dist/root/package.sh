#!/bin/sh
# The package, by what a clean Debian has and nothing else. There is no systemd: the daemon is
# started by hand.
. /opt/checks/checks.sh
exec 3>&1

# Where this machine has it, in hybrid layouts too.
CGROUP=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/egressd-dist-check.slice

dial() { timeout 5 bash -c ': </dev/tcp/'"$1"'/443'; }
stopped() { ! [ -d "/proc/$1" ]; }

# The checks.
the_world_answers() {
    perl /opt/checks/world.pl >/dev/null 2>&1 &
    echo $! >/tmp/world
    within 10 dial 203.0.113.10
    dial 203.0.113.66
}
it_installs_and_a_command_runs_guarded() {
    sh /opt/checks/snapshot.sh >/tmp/before
    start=$(date +%s%N)
    dpkg -i /opt/checks/0.deb
    # One command, as root in a machine of its own, such as a runner of CI.
    status=0
    egressd run --policy /etc/egressd/policy.json --allow-root -- bash -c ': </dev/tcp/203.0.113.66/443' || status=$?
    end=$(date +%s%N)
    [ "$status" = 1 ]
    milliseconds=$(((end - start) / 1000000))
    [ "$milliseconds" -lt 60000 ]
    echo "note: $milliseconds ms from the package to the first guarded command, in two commands"
}
the_files_are_as_they_should_be() {
    [ -z "$(dpkg --verify egressd)" ]
    [ "$(readlink /usr/bin/egressctl)" = egressd ]
    for line in "755 /usr/bin/egressd" "644 /etc/egressd/policy.json" "755 /etc/egressd" \
        "644 /usr/lib/systemd/system/egressd.service" "644 /usr/lib/systemd/system/egressd-gate.service" \
        "644 /usr/lib/systemd/system/agent.slice" "644 /usr/lib/systemd/user/agent.slice" \
        "644 /usr/lib/sysusers.d/egressd.conf" "644 /usr/lib/tmpfiles.d/egressd.conf" \
        "644 /usr/share/egressd/profiles/pip.json" "644 /usr/share/egressd/packs/baseline.json" \
        "644 /usr/share/man/man8/egressd.8.gz" "644 /usr/share/man/man1/egressctl-run.1.gz" \
        "644 /usr/share/bash-completion/completions/egressctl" "644 /usr/share/zsh/vendor-completions/_egressctl" \
        "644 /usr/share/fish/vendor_completions.d/egressctl.fish"; do
        file=${line#* }
        # The root of this test keeps no documentation where Debian's images do not.
        [ "$(stat -c '%a %n %U %G' "$file")" = "$line root root" ]
    done
    # Everything of the package is root's, and nobody else may write it.
    dpkg -L egressd | while read -r file; do
        case "$(stat -c '%U %G %A' "$file")" in
        "root root "l*) ;;
        "root root "?????w????*|"root root "????????w?*) echo "others may write $file"; exit 1 ;;
        "root root "*) ;;
        *) echo "not root's: $file"; exit 1 ;;
        esac
    done
    [ "$(dpkg-query -W -f '${Conffiles}\n' egressd | awk 'NF { print $1 }')" = /etc/egressd/policy.json ]
    [ -z "$(find /usr/share/egressd -name '*.test.json')" ]
}
nothing_was_started() {
    getent group egressd
    not [ -e /run/egressd/control.sock ]
    not [ -e /sys/fs/bpf/egressd/agent%2Eslice ]
    not [ -e /etc/systemd/system/multi-user.target.wants/egressd.service ]
}
both_names_are_programs_and_others_are_refused() {
    egressctl --version | grep -q '^egressctl '
    /usr/bin/egressctl --version | grep -q '^egressctl '
    egressd --version | grep -q '^egressd '
    (cd /usr/bin && ./egressctl --version) | grep -q '^egressctl '
    ln -s /usr/bin/egressd /tmp/guard
    status=0
    said=$(/tmp/guard --version 2>&1) || status=$?
    [ "$status" = 2 ]
    echo "$said" | grep -q 'call it egressd'
}
the_shipped_policies_are_valid() {
    egressctl policy check /etc/egressd/policy.json
    for file in /usr/share/egressd/profiles/*.json; do egressctl policy check "$file"; done
}
the_daemon_decides() {
    printf '%s' '{ "version": 1, "name": "mine", "network": { "allow": [
      { "name": "site", "cidrs": ["203.0.113.10/32"], "ports": ["443/tcp"] } ] } }' >/etc/egressd/policy.json
    egressd run --cgroup egressd-dist-check.slice --policy /etc/egressd/policy.json >/var/log/egressd.out 2>&1 &
    echo $! >/tmp/pid
    within 30 egressctl status
    egressctl run --allow-root -- bash -c ': </dev/tcp/203.0.113.10/443'
    not egressctl run --allow-root -- bash -c ': </dev/tcp/203.0.113.66/443'
    egressctl log --denied --json | grep -q 203.0.113.66
}
hooks_and_shims_name_egressctl() {
    mkdir -p /tmp/home
    HOME=/tmp/home egressctl hook install claude
    grep -q '"/usr/bin/egressctl hook claude' /tmp/home/.claude/settings.json
    command=$(sed -n 's/.*"\(\/usr\/bin\/egressctl hook claude[^"]*\)".*/\1/p' /tmp/home/.claude/settings.json | head -n 1)
    echo '{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"curl https://paste.example/"}}' |
        $command --policy /usr/share/egressd/default.json | grep -q '"deny"'
    HOME=/tmp/home egressctl wrap install --guard egressd-dist-check.slice perl
    grep -q /usr/bin/egressctl /tmp/home/.local/share/egressd/bin/perl
}
an_upgrade_keeps_the_policy_and_the_guard() {
    cp /etc/egressd/policy.json /tmp/mine
    egressctl run --allow-root -- bash -c 'while ! [ -e /var/tmp/enough ]; do
        if (: </dev/tcp/203.0.113.66/443) 2>/dev/null; then echo OPEN; else echo denied; fi; sleep 0.02; done' >/tmp/prober 2>/dev/null &
    within 20 grep -q denied /tmp/prober
    dpkg -i --force-confold /opt/checks/1.deb
    cmp /etc/egressd/policy.json /tmp/mine
    dpkg-query -W -f '${Version}' egressd | grep -q -- '-2$'
    # The daemon by hand, as a package without systemd leaves it: the old one goes on, and is replaced.
    was=$(cat /tmp/pid)
    kill -KILL "$was"
    within 10 stopped "$was" || true
    lines=$(wc -l </tmp/prober)
    within 20 sh -c "[ \$(wc -l </tmp/prober) -gt $((lines + 10)) ]"
    egressd run --cgroup egressd-dist-check.slice --policy /etc/egressd/policy.json >>/var/log/egressd.out 2>&1 &
    echo $! >/tmp/pid
    within 30 egressctl status
    lines=$(wc -l </tmp/prober)
    within 20 sh -c "[ \$(wc -l </tmp/prober) -gt $((lines + 10)) ]"
    not grep OPEN /tmp/prober
    echo "note: $(wc -l </tmp/prober) attempts meanwhile, all denied"
}
removal_is_refused_while_agents_run() {
    not dpkg -r egressd
    egressctl status
    [ -e /usr/bin/egressd ]
    not egressctl run --allow-root -- bash -c ': </dev/tcp/203.0.113.66/443'
    dpkg-query -W -f '${Status}' egressd | grep -q ' ok installed'
}
removal_takes_the_guard_off() {
    touch /var/tmp/enough
    within 20 grep -q "populated 0" "$CGROUP/cgroup.events"
    rm /var/tmp/enough
    pid=$(cat /tmp/pid)
    dpkg -r egressd
    within 20 stopped "$pid"
    not ls -d /sys/fs/bpf/egressd/* 2>/dev/null
    not [ -e /usr/bin/egressctl ]
    cmp /etc/egressd/policy.json /tmp/mine
}
a_purge_keeps_a_note_that_it_cannot_read() {
    mkdir -p /var/lib/egressd
    printf '%s\n' '{ "homes": [{ "home": "/root/a\\b" }] }' >/var/lib/egressd/install.json
    sh /var/lib/dpkg/info/egressd.postrm purge 2>/tmp/said
    grep -q 'egressctl uninstall' /tmp/said
    grep -q 'a..b' /var/lib/egressd/install.json
    rm -r /var/lib/egressd
}
a_purge_leaves_nothing() {
    rm -f /var/log/egressd.out
    rmdir "$CGROUP" 2>/dev/null || true
    not [ -e "$CGROUP" ]
    dpkg -P egressd
    sh /opt/checks/snapshot.sh >/tmp/after
    diff /tmp/before /tmp/after
    not [ -e /run/egressd ]
}

check_all
status=$?
touch /var/tmp/enough
for process in $(cat /tmp/world /tmp/pid); do kill "$process" 2>/dev/null; done
# There when a check failed; what is pinned goes with these namespaces.
if [ -d "$CGROUP" ]; then
    echo 1 >"$CGROUP/cgroup.kill"
    within 5 grep -q "populated 0" "$CGROUP/cgroup.events"
    find "$CGROUP" -depth -type d -exec rmdir {} +
fi
exit "$status"
