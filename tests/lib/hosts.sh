# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Hosts of their own network namespaces, each with one cable to ours, where
# the services are. Source it after tests/lib/agent.sh, call agent_private,
# then:
#
#   hosts_can             false: nft, ip or nsenter is missing
#   host_make NAME K      10.9.K.2 there, 10.9.K.1 here
#   on NAME COMMAND...    runs it there, with our files and processes
#   host_fault NAME KIND, host_mend NAME KIND
#   host_join NAME K      instead of host_make: 10.9.0.K on one network of all
#                         that joined; we are 10.9.0.254
#   host_apart NAME K...  what NAME sends to these is lost; mend: requests-lost
#
# Kinds: link-down, cable-out (the other end), blackhole (no route there),
# no-way-back (none here), requests-lost, answers-lost.

PATH=$PATH:/usr/sbin:/sbin

hosts_can() {
    for hosts_need in nft ip nsenter; do
        command -v $hosts_need >/dev/null || return 1
    done
    mkdir -p /run/netns
}
host_make() { # NAME K
    ip netns add "$1" &&
        ip link add "down$2" type veth peer name up0 netns "$1" &&
        ip addr add "10.9.$2.1/24" dev "down$2" && ip link set "down$2" up &&
        on "$1" ip addr add "10.9.$2.2/24" dev up0 &&
        on "$1" ip link set up0 up && on "$1" ip link set lo up &&
        host_tables "$1" && echo "$2" >"/run/netns.$1"
}
host_join() { # NAME K
    ip link show br0 >/dev/null 2>&1 || {
        ip link add br0 type bridge && ip addr add 10.9.0.254/24 dev br0 &&
            ip link set br0 up || return 1
    }
    ip netns add "$1" &&
        ip link add "down$2" type veth peer name up0 netns "$1" &&
        ip link set "down$2" master br0 up &&
        on "$1" ip addr add "10.9.0.$2/24" dev up0 &&
        on "$1" ip link set up0 up && on "$1" ip link set lo up &&
        host_tables "$1" && echo "$2" >"/run/netns.$1"
}
host_apart() { # NAME K...
    host_name=$1
    shift
    for host_k; do on "$host_name" nft add rule ip t out ip daddr "10.9.0.$host_k" drop; done
}
on() { # NAME COMMAND...
    on_net=/run/netns/$1
    shift
    nsenter --net="$on_net" -- "$@"
}
host_tables() {
    on "$1" nft -f - <<'END'
table ip t {
    chain in { type filter hook input priority 0; }
    chain out { type filter hook output priority 0; }
}
END
}
host_fault() { # NAME KIND
    host_k=$(cat "/run/netns.$1")
    case $2 in
    link-down) on "$1" ip link set up0 down ;;
    cable-out) ip link set "down$host_k" down ;;
    blackhole) on "$1" ip route add blackhole "10.9.$host_k.1" ;;
    no-way-back) ip route add blackhole "10.9.$host_k.2" ;;
    requests-lost) on "$1" nft add rule ip t out drop ;;
    answers-lost) on "$1" nft add rule ip t in drop ;;
    esac
}
host_mend() { # NAME KIND
    host_k=$(cat "/run/netns.$1")
    case $2 in
    link-down) on "$1" ip link set up0 up ;;
    cable-out) ip link set "down$host_k" up ;;
    blackhole) on "$1" ip route del blackhole "10.9.$host_k.1" ;;
    no-way-back) ip route del blackhole "10.9.$host_k.2" ;;
    *-lost) on "$1" nft flush chain ip t in && on "$1" nft flush chain ip t out ;;
    esac
}
