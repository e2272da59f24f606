#!/bin/sh
# Every file, its kind, mode and owner; not what dpkg notes about packages, and what is mounted.
find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /opt -o -path /etc/group- \
    -o -path /etc/gshadow- -o -path /proc -o -path /dev -o -path /sys -o -path /run -o -path /tmp \) -prune \
    -o -printf '%y %m %u:%g %p %l\n' | LC_ALL=C sort
find /var/log -xdev -printf '%y %m %u:%g %p\n' | grep -v -e /dpkg.log -e /alternatives.log -e /apt | LC_ALL=C sort
sort /etc/group /etc/gshadow
