#!/bin/sh
# The service on a machine with systemd. What the checks say goes to the first serial line.
exec 3>/dev/ttyS0
stty raw <&3
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
SERVICE=/sys/fs/cgroup/system.slice/egressd.service
. /opt/checks/checks.sh

as_unit() { systemd-run --quiet --wait --pipe --collect --uid=agent --slice=agent.slice "$@"; }
user() { systemd-run --quiet --wait --pipe --collect --machine=agent@ --user "$@"; }
packets() { if [ -e /run/world/bait ]; then wc -l </run/world/bait; else echo 0; fi; }
attempts() { cat /run/prober/attempts | wc -l; }
inode() { stat -c %i /sys/fs/cgroup/agent.slice; }
active() { [ "$(systemctl is-active "$1")" = "${2:-active}" ]; }
pid() { systemctl show -p MainPID --value egressd; }
# Not one attempt got through since the boot, and the prober still tries.
nothing_leaked() {
    before=$(attempts)
    within 60 sh -c "[ \$(wc -l </run/prober/attempts) -gt $((before + 5)) ]"
    not grep -v ' EPERM$' /run/prober/attempts
    [ "$(packets)" = 0 ]
}
answers() { egressctl status >/dev/null 2>&1; }
restarted() { [ "$(pid)" != "$1" ] && active egressd && answers; }
flow_lives() {
    lines=$(wc -l </home/agent/echoes)
    within 60 sh -c "[ \$(wc -l </home/agent/echoes) -gt $((lines + 5)) ]"
}

# Only a job that comes with another one stops the slice: this is how an administrator would.
reset_slice() {
    mkdir -p /run/systemd/system/agent.slice.d
    printf '[Unit]\nRefuseManualStop=no\n' >/run/systemd/system/agent.slice.d/stop.conf
    systemctl daemon-reload
    systemctl stop agent.slice
    rm -r /run/systemd/system/agent.slice.d
    systemctl daemon-reload
    [ "$(systemctl is-active agent.slice)" != active ]
}

# The checks.
the_units_are_well_written() {
    systemd-analyze verify --man=no egressd.service egressd-gate.service agent.slice
}
the_boot_leaves_no_window() {
    active egressd
    active prober
    nothing_leaked
    enforcing=$(systemctl show -p ActiveEnterTimestampMonotonic --value egressd)
    first=$(head -n 1 /run/prober/attempts | cut -d ' ' -f 1 | tr -d .)
    [ "${first}000" -gt "$enforcing" ]
    echo "note: $(attempts) attempts since the boot, 0 packets"
}
the_service_is_hardened() {
    [ "$(systemctl show -p Type --value egressd)" = notify ]
    exposure=$(systemd-analyze security --no-pager egressd.service | tail -n 1 | grep -o '[0-9]*\.[0-9]')
    [ "$(echo "$exposure" | tr -d .)" -le 34 ]
    grep NoNewPrivs:.1 "/proc/$(pid)/status"
    echo "note: exposure $exposure"
}
a_unit_in_the_slice_is_confined() {
    [ "$(as_unit python3 /opt/checks/dial.py 203.0.113.66 || true)" = EPERM ]
}
a_session_reaches_what_is_allowed() {
    [ "$(user egressctl run -- python3 /opt/checks/dial.py allowed.example)" = reached ]
    [ "$(user egressctl run -- python3 /opt/checks/dial.py 203.0.113.66 2>/dev/null || true)" = EPERM ]
}
the_control_socket_is_the_groups() {
    [ "$(stat -c '%U %G %a' /run/egressd/control.sock)" = "root egressd 660" ]
}
the_slice_stays_when_its_last_unit_ends() {
    was=$(inode)
    systemctl stop prober
    sleep 1
    [ "$(inode)" = "$was" ]
    not systemctl stop agent.slice
    [ "$(inode)" = "$was" ]
    systemctl start prober
    nothing_leaked
}
a_restart_keeps_flows_and_guard() {
    systemctl start flow
    within 60 [ -s /home/agent/echoes ]
    was=$(pid)
    systemctl restart egressd
    restarted "$was"
    flow_lives
    active flow
    active prober
    nothing_leaked
    journalctl -b -u egressd | grep -q 'taken over from a previous egressd'
}
a_killed_daemon_comes_back() {
    was=$(pid)
    kill -KILL "$was"
    flow_lives
    within 60 restarted "$was"
    flow_lives
    nothing_leaked
}
a_daemon_out_of_memory_comes_back() {
    was=$(pid)
    kills=$(grep -o 'oom_kill [0-9]*' "$SERVICE/memory.events" | cut -d ' ' -f 2)
    systemctl set-property --runtime egressd.service MemoryMax=1M MemorySwapMax=0
    # What it must read anew to answer does not fit any more.
    within 60 sh -c 'egressctl status >/dev/null 2>&1; ! [ -d /proc/'"$was"' ]'
    journalctl -b -u egressd | grep -qi "oom-kill"
    flow_lives
    nothing_leaked
    systemctl set-property --runtime egressd.service MemoryMax=infinity
    within 60 restarted "$was"
    nothing_leaked
}
a_good_policy_is_reloaded() {
    sed 's/allowed.example/other.example/' /etc/egressd/policy.json >/etc/egressd/new.json
    cp /etc/egressd/policy.json /etc/egressd/old.json
    cp /etc/egressd/new.json /etc/egressd/policy.json
    systemctl reload egressd
    [ "$(user egressctl run -- python3 /opt/checks/dial.py allowed.example | cut -d ' ' -f 1)" = no-name ]
    cp /etc/egressd/old.json /etc/egressd/policy.json
    systemctl reload egressd
    [ "$(user egressctl run -- python3 /opt/checks/dial.py allowed.example)" = reached ]
}
a_bad_policy_changes_nothing() {
    was=$(pid)
    echo '{ "version": 1, "network": 5 }' >/etc/egressd/policy.json
    not systemctl reload egressd
    [ "$(pid)" = "$was" ]
    active egressd
    [ "$(user egressctl run -- python3 /opt/checks/dial.py allowed.example)" = reached ]
    cp /etc/egressd/old.json /etc/egressd/policy.json
    nothing_leaked
}
names_resolve_through_egressd_with_nss_resolve() {
    grep -q 'hosts:.*resolve \[!UNAVAIL=return\] dns' /etc/nsswitch.conf
    active systemd-resolved
    # Without a guard, nss-resolve does answer.
    user getent hosts free.example
    grep -q free.example /run/world/queries
    [ "$(user egressctl run -- getent ahostsv4 allowed.example | head -n 1 | cut -d ' ' -f 1)" = 203.0.113.10 ]
    not user egressctl run -- getent ahostsv4 secret.example
    not grep -q secret.example /run/world/queries
}
# A plain unit sees the socket of systemd-resolved. The question may leave the machine; no
# connection does.
a_plain_unit_with_nss_resolve_connects_nowhere() {
    [ "$(as_unit python3 /opt/checks/dial.py plain.example || true)" != reached ]
    if grep -q plain.example /run/world/queries; then left=yes; else left=no; fi
    [ "$(packets)" = 0 ]
    echo "note: the question for a denied name left the machine: $left"
}
a_user_unit_runs_egressctl() {
    mkdir -p /home/agent/.config/systemd/user
    cat >/home/agent/.config/systemd/user/mine.service <<'UNIT'
[Service]
Type=oneshot
ExecStart=egressctl run -- sh -c 'python3 /opt/checks/dial.py 203.0.113.66 >/home/agent/mine; cat /proc/self/cgroup >>/home/agent/mine; true'
UNIT
    chown -R agent: /home/agent
    systemctl --machine=agent@ --user daemon-reload
    systemctl --machine=agent@ --user start mine
    [ "$(head -n 1 /home/agent/mine)" = EPERM ]
    grep -q '^0::/agent.slice/' /home/agent/mine
}
a_user_unit_in_a_slice_of_that_name_does_not_start() {
    [ "$(user echo ran)" = ran ]
    # What systemd-run gives back tells nothing: it waits until the unit is inactive, and it is.
    [ "$(user --slice=agent.slice echo ran || true)" = "" ]
    journalctl -b -o cat _UID=1000 >/run/journal
    grep -q 'Dependency failed for .*echo ran' /run/journal
    not [ -e /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/agent.slice ]
}
the_journal_is_readable() {
    journalctl -b -u egressd -o cat >/run/journal
    not grep -q "$(printf '\033')" /run/journal
    grep -q 'taken over' /run/journal
    # A refused policy is worth a look; what goes as it should is not.
    journalctl -b -u egressd -p warning -o cat >/run/journal
    grep -qi policy /run/journal
    not grep -q 'taken over' /run/journal
}
a_stopped_daemon_leaves_the_guard() {
    # A reload has cut the flow.
    rm -f /home/agent/echoes
    systemctl restart flow
    within 60 [ -s /home/agent/echoes ]
    systemctl stop egressd
    active egressd inactive
    active prober
    nothing_leaked
    flow_lives
}
without_a_guard_nothing_starts_in_the_slice() {
    systemctl stop prober flow
    egressctl release
    echo '{ "version": 1, "network": 5 }' >/etc/egressd/policy.json
    not systemctl start egressd
    # As after a boot: the slice is not there.
    systemctl kill agent.slice || true
    reset_slice
    not systemctl start prober
    not active prober
    [ "$(packets)" = 0 ]
    cp /etc/egressd/old.json /etc/egressd/policy.json
    systemctl reset-failed
    systemctl start prober
    active egressd
    nothing_leaked
}
a_slice_that_was_removed_is_guarded_again() {
    systemctl stop prober
    reset_slice
    systemctl start prober
    nothing_leaked
}
the_bait_would_have_told() {
    [ "$(packets)" = 0 ]
    [ "$(python3 /opt/checks/dial.py 203.0.113.66)" = reached ]
    [ "$(packets)" -gt 0 ]
}

# The emulator is slow; a start that goes on is waited for.
within 600 sh -c '! systemctl is-active egressd | grep -q activating'
loginctl enable-linger agent
within 60 [ -S /run/user/1000/bus ]
echo "booted $(uname -r) systemd $(systemctl --version | head -n 1 | cut -d ' ' -f 2)" >&3
check_all
echo "end $count" >&3
sync
