#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Many holders on few locks, alone and through an agent, behind the fault
# proxy; the oracle judges. First with faults that pass, under which no lock
# may be lost, then with harsh ones, under which locks are lost and the work
# must be dead in time. At the end all faults stop, and every lock is takable.
#
#   FAULT_SECONDS   of each of the two parts; 10
#   FAULT_SEED      of proxy and holders; else a new one, which is printed
#   FAULT_FIGURES   a folder for the histories' and the proxy's figures

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
F=$B/tests/faults
J=$B/bin/justalock
SECS=${FAULT_SECONDS:-10}
SEED=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
LOCKS="l0 l1 l2 l3 l4 l5 l6 l7"
echo "# FAULT_SEED=$SEED FAULT_SECONDS=$SECS"

"$B/bin/justalock-server" --listen 127.0.0.1:7171 \
    --listen "unix:$T/srv.sock" --state "$T/srv" >>"$T/srv.log" 2>&1 &
wait_for 10 test -S "$T/srv.sock"
# The lifetime of the agent's locks; holders without it say theirs.
agent_conf '"lifetime": 15'
sed -i 's|"unix:[^"]*"|"http://127.0.0.1:7272/"|' "$T/conf.json"

# A seeded choice: "LOCK LIFETIME MS FLAGS" of a holder's n-th work. Where
# faults pass, a lifetime has room for one failed attempt and a slow machine: of
# 15 s TERM is due at 11.2, the refresh begins by 5.5, its attempt has failed by
# 7.5, the next one begins 0.1 later. 3.6 s are left for a machine that stands
# still; of 10 s it would be 2.2.
choice() { # PART HOLDER N
    awk -v harsh="$([ "$1" = passing ] || echo 1)" -v s="$SEED$2" -v n="$3" '
        BEGIN { srand(s * 1000 + n)
        print "l" int(rand() * 8), harsh ? 5 + int(rand() * 3) : 15,
            rand() < 0.4 ? 1 + int(rand() * 300) : (harsh ? 3000 : 10000) + int(rand() * 5000),
            rand() < 0.5 ? "" : "-f -d" }'
}
holder() { # PART NUMBER
    n=0
    while [ ! -e "$T/stop" ]; do
        n=$((n + 1))
        choice "$1" "$2" $n >"$T/choice.$2"
        read -r lock life ms flags <"$T/choice.$2"
        how="--config $T/conf.json"
        [ $(($2 % 2)) = 1 ] || how="--socket /run/agent.sock"
        # shellcheck disable=SC2086
        "$J" run $how -w 10s -t "$life" "$lock" \
            "$F/work" "$T/rec" $flags "$ms" </dev/null >>"$T/run.log" 2>&1
        echo "status $?" >>"$T/statuses"
    done
}
proxy_start() { # MODE
    tests/faults/proxy --listen 7272 --server 7171 --seed "$SEED" \
        --mode "$1" --history "$T/history" >"$T/$1.counts" 2>"$T/proxy.log" &
    proxy=$!
    wait_for 10 curl -s -o /dev/null http://127.0.0.1:7272/healthz
}
# Every lock can be taken, and the last works have ended.
takable() { # LOCK
    "$J" run --config "$T/conf.json" -w 60s "$1" true 2>"$T/take.err"
}
ended() { [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]; }
value() { sed -n "s/^$1 //p" "$T/figures"; }

part() { # passing|harsh
    : >"$T/history"
    : >"$T/statuses"
    chmod 666 "$T/history"
    rm -f "$T/stop" "$T/rec" "$T"/rec.*
    "$F/recorder" "$T/rec" "$T/history" 2>"$T/recorder.log" &
    recorder=$!
    wait_for 10 test -S "$T/rec"
    proxy_start "$1"
    holders=
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        holder "$1" $i &
        holders="$holders $!"
    done
    sleep "$SECS"
    # Some seeds begin with short dark times.
    [ "$1" = passing ] || wait_for 30 grep -q ' 79$' "$T/statuses"
    touch "$T/stop"
    kill -USR1 $proxy
    for l in $LOCKS; do
        ok "$1: $l can be taken when the faults have stopped" takable $l
    done
    # shellcheck disable=SC2086
    wait $holders
    ok "$1: all works have ended" wait_for 60 ended
    kill $proxy
    wait $proxy
    kill $recorder
    wait $recorder 2>/dev/null
    ok "$1: the oracle finds nothing wrong" \
        eval "tests/faults/oracle --least 5 '$T/history' >'$T/figures'"
    is "$1: neither did the programs that watch" "$(cat "$T/proxy.log" "$T/recorder.log")" ""
    sed "s/^/# $1: /" "$T/figures" "$T/$1.counts"
    echo "# $1: $(sort "$T/statuses" | uniq -c | tr -s ' \n' ' ')"
    ok "$1: the server's leases were seen" [ "$(value leases)" -gt 4 ]
    [ -z "${FAULT_FIGURES:-}" ] ||
        cat "$T/figures" "$T/$1.counts" >"$FAULT_FIGURES/$1"
    [ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/$1.history"
}

agent_start
part passing
is "passing: no lock was lost" "$(value cut)" 0
grep 'lost lock' "$T/run.log" | sed 's/^/# /'
part harsh
ok "harsh: locks were lost ($(value cut))" [ "$(value cut)" -gt 0 ]
tap_done
