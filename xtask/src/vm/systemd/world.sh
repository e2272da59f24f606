#!/bin/sh
# The machine has one link, to the internet.
set -e
ip netns add internet
ip link add uplink type veth peer name far netns internet
ip addr add 192.0.2.2/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1
ip netns exec internet sh -c '
    ip link set lo up
    ip addr add 192.0.2.1/24 dev far
    for host in 10 53 66; do ip addr add 203.0.113.$host/32 dev far; done
    ip link set far up'
