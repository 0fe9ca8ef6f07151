# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# An etcd of three members for shell tests, and servers that share it. Source
# it after tests/lib/tap.sh, with $T set, in a network of the test's own; what it
# writes goes to $ETCD_DIR, by default $T:
#
#   etcd_can              false: etcd, etcdctl, curl or jq is missing
#   etcd_member N         starts member 1, 2 or 3; its pid is in $ETCD_DIR/m1.pid
#   etcd_start            all of them, and waits until they answer
#   etcd_ends [N]         where they are, as --state takes it; the Nth first
#   ctl ARG...            etcdctl
#   lead_of N...          which of the servers at $ETCD_DIR/sN.sock answers; or nothing
#
# ETCD_LOOK_S (1): how long lead_of waits for each.
#
# They are on the loopback; member N is in the network mN, at 10.9.0.1N, where
# that is (tests/lib/hosts.sh).

export ETCDCTL_API=3 ETCD_LOG_LEVEL=error

etcd_can() {
    for etcd_need in etcd etcdctl curl jq; do
        command -v $etcd_need >/dev/null || return 1
    done
}
etcd_at() { # N
    if [ -e "/run/netns/m$1" ]; then echo "10.9.0.1$1"; else echo 127.0.0.1; fi
}
etcd_ends() { # [N]
    etcd_n=${1:-1}
    echo "$(etcd_at "$etcd_n"):237$etcd_n,$(etcd_at $((etcd_n % 3 + 1))):237$((etcd_n % 3 + 1)),$(etcd_at $(((etcd_n + 1) % 3 + 1))):237$(((etcd_n + 1) % 3 + 1))"
}
etcd_member() { # N
    ETCD_DIR=${ETCD_DIR:-$T}
    etcd_in='' etcd_host=$(etcd_at "$1")
    [ ! -e "/run/netns/m$1" ] || etcd_in="nsenter --net=/run/netns/m$1 --"
    # shellcheck disable=SC2086
    (exec $etcd_in etcd --name "m$1" --data-dir "$ETCD_DIR/m$1" \
        --initial-cluster "m1=http://$(etcd_at 1):2381,m2=http://$(etcd_at 2):2382,m3=http://$(etcd_at 3):2383" \
        --initial-advertise-peer-urls "http://$etcd_host:238$1" \
        --listen-peer-urls "http://$etcd_host:238$1" \
        --listen-client-urls "http://$etcd_host:237$1" \
        --advertise-client-urls "http://$etcd_host:237$1" \
        --heartbeat-interval 100 --election-timeout 1000 >>"$ETCD_DIR/m$1.log" 2>&1) &
    echo $! >"$ETCD_DIR/m$1.pid"
}
etcd_start() {
    for etcd_n in 1 2 3; do etcd_member $etcd_n; done
    wait_for 30 etcd_healthy
}
etcd_healthy() { ctl endpoint health >/dev/null 2>&1; }
ctl() { etcdctl --endpoints "$(etcd_ends)" "$@" 2>/dev/null; }
lead_of() { # N...
    ETCD_DIR=${ETCD_DIR:-$T}
    for etcd_n; do
        [ "$(curl -s -m "${ETCD_LOOK_S:-1}" -o /dev/null -w '%{http_code}' --unix-socket "$ETCD_DIR/s$etcd_n.sock" \
            http://x/healthz)" != 200 ] || echo "$etcd_n"
    done | head -n 1
}
