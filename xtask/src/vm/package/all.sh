#!/bin/sh
# The package on a machine with systemd.
exec 3>/dev/ttyS0
stty raw <&3
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
. /opt/checks/checks.sh

user() { systemd-run --quiet --wait --pipe --collect --machine=agent@ --user "$@"; }
packets() { if [ -e /run/world/bait ]; then wc -l </run/world/bait; else echo 0; fi; }
attempts() { cat /run/prober/attempts | wc -l; }
active() { [ "$(systemctl is-active "$1")" = "${2:-active}" ]; }
pid() { systemctl show -p MainPID --value egressd; }
dial() { python3 /opt/checks/dial.py "$1"; }
nothing_leaked() {
    before=$(attempts)
    within 60 sh -c "[ \$(wc -l </run/prober/attempts) -gt $((before + 5)) ]"
    not grep -v ' EPERM$' /run/prober/attempts
    [ "$(packets)" = 0 ]
}
flow_lives() {
    lines=$(wc -l </home/agent/echoes)
    within 60 sh -c "[ \$(wc -l </home/agent/echoes) -gt $((lines + 5)) ]"
}
# What a package could leave: files, and the names of groups.
snapshot() {
    find /etc /usr /var/lib /var/cache /var/log /home -xdev \
        \( -path /var/lib/dpkg -o -path /var/log/journal -o -path '/etc/g*-' -o -path /var/lib/systemd \) -prune -o -print |
        grep -v -e /dpkg.log -e /home/agent -e /ldconfig -e __pycache__ | LC_ALL=C sort
    cut -d : -f 1 /etc/group | sort
}

# The checks.
it_installs_and_starts_nothing() {
    snapshot >/tmp/before
    dpkg -i /opt/checks/0.deb
    active egressd inactive
    not systemctl is-enabled egressd
    not [ -e /sys/fs/bpf/egressd ]
    getent group egressd
    systemctl cat egressd >/dev/null
    dial 203.0.113.66
    # What the world counted was this one.
    : >/run/world/bait
}
one_more_command_starts_the_guard() {
    cp /opt/checks/policy.json /etc/egressd/policy.json
    usermod --append --groups egressd agent
    loginctl enable-linger agent
    within 120 [ -S /run/user/1000/bus ]
    systemctl enable --now egressd
    active egressd
    systemctl is-enabled egressd
    [ "$(user egressctl run -- python3 /opt/checks/dial.py allowed.example)" = reached ]
    [ "$(user egressctl run -- python3 /opt/checks/dial.py 203.0.113.66 2>/dev/null || true)" = EPERM ]
    [ "$(packets)" = 0 ]
}
an_upgrade_under_agents_keeps_them_and_their_guard() {
    systemctl start prober flow
    within 60 [ -s /home/agent/echoes ]
    within 60 [ -s /run/prober/attempts ]
    was=$(pid)
    dpkg -i --force-confold /opt/checks/1.deb
    dpkg-query -W -f '${Version}' egressd | grep -q -- '-2$'
    within 60 sh -c 'egressctl status >/dev/null 2>&1'
    [ "$(pid)" != "$was" ]
    active egressd
    cmp /opt/checks/policy.json /etc/egressd/policy.json
    flow_lives
    active flow
    active prober
    nothing_leaked
    journalctl -b -u egressd | grep -q 'taken over from a previous egressd'
    echo "note: $(attempts) attempts, 0 packets"
}
an_upgrade_that_cannot_start_leaves_the_guard_on() {
    echo '{ "version": 1, "network": 5 }' >/etc/egressd/policy.json
    said=$(dpkg -i --force-confold /opt/checks/0.deb 2>&1)
    echo "$said" | grep -q 'goes on denying'
    not active egressd
    nothing_leaked
    flow_lives
    cp /opt/checks/policy.json /etc/egressd/policy.json
    systemctl reset-failed egressd
    systemctl start egressd
    within 60 sh -c 'egressctl status >/dev/null 2>&1'
    nothing_leaked
}
a_removal_under_agents_is_refused() {
    said=$(dpkg -r egressd 2>&1 || true)
    echo "$said" | grep -q 'left on: processes run in agent.slice'
    active egressd
    systemctl is-enabled egressd
    nothing_leaked
    # Without a daemon, too.
    systemctl stop egressd
    not dpkg -r egressd
    nothing_leaked
    systemctl start egressd
}
a_removal_takes_guard_and_units_away() {
    systemctl stop prober flow
    within 60 grep -q 'populated 0' /sys/fs/cgroup/agent.slice/cgroup.events
    dpkg -r egressd
    not active egressd
    not [ -e /etc/systemd/system/multi-user.target.wants/egressd.service ]
    not [ -e /sys/fs/bpf/egressd ]
    not [ -e /run/egressd ]
    not active agent.slice
    [ -e /etc/egressd/policy.json ]
    # Nothing holds any more, and nothing says that it does.
    not egressctl --version
}
a_purge_leaves_nothing() {
    dpkg -P egressd
    snapshot >/tmp/after
    diff /tmp/before /tmp/after
}
the_bait_would_have_told() {
    [ "$(packets)" = 0 ]
    [ "$(dial 203.0.113.66)" = reached ]
    [ "$(packets)" -gt 0 ]
}

echo "booted $(uname -r) systemd $(systemctl --version | head -n 1 | cut -d ' ' -f 2)" >&3
check_all
echo "end $count" >&3
sync
