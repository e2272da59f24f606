#!/bin/sh
# enter.sh ROOT CHECKS: runs in namespaces of its own. Gives the root what a running system has, and
# addresses that look like hosts elsewhere; then runs the checks in it.
set -e
root=$1
checks=$2
sh "$(dirname "$0")/furnish.sh" "$root"
ip link set lo up
for address in 203.0.113.10 203.0.113.66; do ip address add "$address/32" dev lo; done
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    chroot "$root" sh "/opt/checks/$checks"
