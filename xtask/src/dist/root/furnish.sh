#!/bin/sh
# furnish.sh ROOT: gives a root what a running system has, in the mount namespace that this runs in.
set -e
root=$1
mount --bind "$root" "$root"
for place in proc dev sys/fs/cgroup sys/fs/bpf; do mkdir -p "$root/$place"; done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
# A file system of its own: what is pinned here is gone with the namespaces, whatever happens.
mount -t bpf bpf "$root/sys/fs/bpf"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
