#!/bin/sh
# enter.sh ROOT CHECKS: runs in namespaces of its own. Gives the root what a running system has, and
# addresses that look like hosts elsewhere; then runs the checks in it.
set -e
root=$1
checks=$2
mount --bind "$root" "$root"
for place in proc dev sys/fs/cgroup sys/fs/bpf; do mkdir -p "$root/$place"; done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
# A file system of its own: what is pinned here is gone with these namespaces, whatever happens.
mount -t bpf bpf "$root/sys/fs/bpf"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
ip link set lo up
for address in 203.0.113.10 203.0.113.66; do ip address add "$address/32" dev lo; done
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    chroot "$root" sh "/opt/checks/$checks"
