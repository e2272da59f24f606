#!/bin/busybox sh
# What a machine of the kernel matrix does: it loads what the tests need, runs what the kernel
# command line asks for, and turns itself off. Events go to the first serial line, what the
# programs say to the console, the report to the third line.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin HOME=/root EGRESS_VM=1 EGRESS_VSOCK=1 EGRESS_TEST_KERNEL=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /var/log /var/lib
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 run /run
mount -t securityfs security /sys/kernel/security
mount -t cgroup2 -o nsdelegate none /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
stty -F /dev/ttyS0 raw
stty -F /dev/ttyS2 raw
exec 3>/dev/ttyS0
exec >/dev/console 2>&1
ip link set lo up

echo "booted $(uname -r) $(cut -d ' ' -f 1 /proc/uptime) $(cat /sys/kernel/security/lsm)" >&3
for module in /modules/*.ko; do
    insmod "$module" || echo "no-module $(basename "$module")" >&3
done

tests() {
    echo "begin tests" >&3
    # One after the other; then those that change the clock of the whole machine.
    /test kernel:: --test-threads=1 >/tmp/tests 2>&1 &&
        /test kernel::clock --test-threads=1 --ignored >>/tmp/tests 2>&1
    status=$?
    cat /tmp/tests
    echo "end tests $status" $(grep '^test result:' /tmp/tests) >&3
}

escapes() {
    echo "begin escapes" >&3
    egressctl doctor --escape --as agent --as root --as bare --json >/dev/ttyS2 2>/tmp/escapes
    status=$?
    cat /tmp/escapes
    echo "end escapes $status" >&3
}

# egressd must say in one line that it does not start here, and must not have made a cgroup.
refusal() {
    echo "begin refusal" >&3
    egressd run --cgroup agent.slice --policy /etc/egressd/policy.json >/dev/ttyS2 2>&1
    status=$?
    left=$(ls -d /sys/fs/cgroup/agent.slice /sys/fs/bpf/egressd 2>/dev/null | tr '\n' ' ')
    echo "end refusal $status $left" >&3
}

# Landlock is off here. Required, it keeps a command from starting; as best effort, it does not,
# and the gap is told.
unsealed() {
    for need in require best-effort; do
        policy=/etc/egressd/$need.json
        echo '{"version":1,"name":"unsealed","session":{"landlock":"'$need'"},"network":{"allow":[]}}' >"$policy"
        echo "begin unsealed-$need" >&3
        egressd run --policy "$policy" --user nobody -- echo started >/tmp/said 2>&1
        status=$?
        sed "s/^/$need: /" /tmp/said >/dev/ttyS2
        echo "end unsealed-$need $status" >&3
    done
}

for word in $(cat /proc/cmdline); do
    case "$word" in
        egressd.do=*) for what in $(echo "${word#*=}" | tr ',' ' '); do "$what"; done ;;
    esac
done
exec 3>&-
sync
poweroff -f
