#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each kind of fault of the proxy by itself: first that the proxy does it, as
# curl sees it, then one for each request of a holder, until its lock is lost,
# or kept where such faults cannot take it. The works are hard to kill, and
# all are dead 100 ms before the server's end of the lease: KILL is due 750 ms
# before. Who has asked once (-n) keeps its lock where every other refresh is
# refused, and nobody else has it meanwhile. Last, names that nobody resolves.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
F=$B/tests/faults
J=$B/bin/justalock
LOST="drop-before drop-after reset-before reset-after half-open
    half-open-after reorder redirect redirect-grants portal status-204
    status-400 status-403 status-404 status-429 status-500 status-503 rubbish
    huge endless"
KEPT="duplicate duplicate-late"
EITHER="delay-request delay-answer late-answer trickle"
ONCE="once-400 once-403 once-404 once-503" # every other request is refused
ALL="$LOST $KEPT $EITHER $ONCE in-turn then-dark"

"$B/bin/justalock-server" --listen 127.0.0.1:7171 \
    --listen "unix:$T/srv.sock" --state "$T/srv" >>"$T/srv.log" 2>&1 &
wait_for 10 test -S "$T/srv.sock"
: >"$T/history"
"$F/recorder" "$T/rec" "$T/history" &
port=7300
for kind in $ALL; do
    port=$((port + 1))
    echo $port >"$T/$kind.port"
    only=$kind mode=harsh
    case $kind in
    then-dark) only=late-answer ;;
    in-turn) only=half-open mode=passing ;;
    once-*) only=status-${kind#once-} mode=passing ;;
    esac
    tests/faults/proxy --listen $port --server 7171 --seed 1 --mode $mode \
        --only $only --history "$T/history" >"$T/$kind.counts" \
        2>>"$T/proxy.log" &
    echo $! >"$T/$kind.proxy"
done
url() { echo "http://127.0.0.1:$(cat "$T/$1.port")/"; }
listens() { ss -Htln "sport = :$(cat "$T/$1.port")" | grep -q .; }
for kind in $ALL; do
    wait_for 20 listens "$kind" || {
        ok "there is a proxy for $kind" false
        exit 1
    }
done
proxies() { # SIGNAL [KIND]
    for kind in ${2:-$ALL}; do
        kill "-$1" "$(cat "$T/$kind.proxy")"
    done
}

# ---- as curl sees them: its exit status, the answer's, who holds the lock
see() { # KIND: "CURL HTTP HELD"
    see_id=$("$J" id "see-$1")
    curl -s -m 4 -o "$T/$1.page" -w '%{http_code}' -H "Justalock-Share: $1" \
        -d me "$(url "$1")$see_id?s=60" >"$T/$1.code"
    echo "$? $(cat "$T/$1.code") $(curl -s --unix-socket "$T/srv.sock" \
        "http://x/v1/locks/$see_id" | jq -r .held)" >"$T/$1.seen"
}
seen=
for kind in $LOST $KEPT $EITHER; do
    see "$kind" &
    seen="$seen $!"
done
# shellcheck disable=SC2086
wait $seen
# 28: no end in time, 52: closed, 56: reset, 1: no HTTP, 61..: bad framing.
while read -r kind want; do
    like "curl sees $kind" "$(cat "$T/$kind.seen")" "^$want\$"
done <<'END'
drop-before 52 000 false
drop-after 52 000 true
reset-before 56 000 false
reset-after 56 000 true
half-open 28 000 false
half-open-after 28 000 true
reorder 0 200 true
redirect 0 302 false
redirect-grants 0 307 false
portal 0 200 false
status-204 0 204 false
status-400 0 400 false
status-403 0 403 false
status-404 0 404 false
status-429 0 429 false
status-500 0 500 false
status-503 0 503 false
rubbish (1|52|56) 000 false
huge 0 200 false
endless (28|56) (000|200) false
duplicate 0 200 true
duplicate-late 0 200 true
delay-request 0 200 true
delay-answer 0 200 true
late-answer 0 200 true
trickle (0|28) 200 true
END
like "the portal's page" "$(cat "$T/portal.page")" 'Please log in'
is "the size of a huge answer" "$(wc -c <"$T/huge.page")" 16777216
proxies USR1

# ---- a holder of each
hold() { # KIND
    # One attempt in two hangs: room for that on a slow machine.
    life=5s how='-w 30s'
    case $1 in
    in-turn) life=8s ;;
    once-*) how=-n ;;
    esac
    # shellcheck disable=SC2086
    "$J" run --url "$(url "$1")" $how -t $life "hold-$1" "$F/work" "$T/rec" \
        -f -d 10000 >"$T/$1.log" 2>&1 </dev/null
    echo $? >"$T/$1.status"
}
# Its lock, if it is let go too early.
rival() { # KIND
    "$J" run --url "$(url "$1")" -w 60s -t 5s "hold-$1" "$F/work" "$T/rec" \
        -f -d 50 >"$T/$1.rival" 2>&1 </dev/null
    echo $? >"$T/$1.rival-status"
}
holders=
for kind in $ALL; do
    hold "$kind" &
    holders="$holders $!"
done
all=$(echo "$ALL" | wc -w)
all_started() { [ "$(grep -c ^start "$T/history")" = "$all" ]; }
ok "each has a holder" wait_for 30 all_started
proxies USR2
for kind in $ONCE; do
    rival "$kind" &
    holders="$holders $!"
done
# Its answers are late and good, until there are none.
slow() { [ "$(grep -c "^lease $("$J" id hold-then-dark) " "$T/history")" -gt 2 ]; }
wait_for 10 slow
sleep 1
proxies STOP then-dark
# shellcheck disable=SC2086
wait $holders
proxies CONT then-dark
status() { cat "$T/$1.status"; }
for kind in $LOST then-dark; do
    # 80: on a loaded machine, who looks comes too late.
    like "$kind: the lock is lost" "$(status "$kind")" '^(79|80)$'
done
for kind in $KEPT $ONCE in-turn; do
    is "$kind: the lock is kept" "$(status "$kind")" 0
done
for kind in $ONCE; do
    is "$kind: and given back to who waits" "$(cat "$T/$kind.rival-status")" 0
done
for kind in $EITHER; do
    like "$kind: it ends" "$(status "$kind")" '^(0|79|80)$'
done
ended() { [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]; }
ok "all works have ended" wait_for 20 ended
tests/faults/oracle --least $all --spare 100 "$T/history" >"$T/figures"
is "the oracle finds nothing wrong" $? 0
sed 's/^/# /' "$T/figures"
[ -z "${FAULT_FIGURES:-}" ] || {
    cp "$T/figures" "$FAULT_FIGURES/kinds"
    for kind in $ALL; do echo "fault $kind 1"; done >>"$FAULT_FIGURES/kinds"
}
[ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/"
proxies USR1
proxies TERM
is "no proxy failed" "$(cat "$T/proxy.log")" ""

# ---- names that nobody resolves
socat -u UDP4-RECV:53,bind=127.0.0.2 /dev/null &
echo 'nameserver 127.0.0.2' >"$T/resolv.conf"
echo 'hosts: files dns' >"$T/nsswitch.conf"
echo '127.0.0.1 lock.test' >"$T/hosts"
for f in resolv.conf nsswitch.conf hosts; do
    mount --bind "$T/$f" "/etc/$f" || exit 1
done
export JUSTALOCK_URL=http://lock.test:7171/
"$F/recorder" "$T/dns.rec" "$T/dns" &
wait_for 10 test -S "$T/dns.rec"
"$J" run -t 3s dns "$F/work" "$T/dns.rec" -f -d 60000 2>"$T/dns.log" &
holder=$!
wait_for 20 grep -q '^start' "$T/dns"
echo '127.0.0.1 localhost' >"$T/hosts"
start=$(now_ms)
"$J" run -w 2s other true 2>"$T/dns.err"
is "a name that hangs: not taken" $? 69
ok "and that in time ($(($(now_ms) - start)) ms)" [ $(($(now_ms) - start)) -lt 5000 ]
sleep 4
ok "who has the address goes on" [ "$(grep -c ^end "$T/dns")" = 0 ]
# The next keeper has to ask. The lease is of 3 s from before this at most.
ok "its keeper is killed" pkill -KILL -P $holder -x justalock-keepe
echo "lease $("$J" id dns) $(awk '/^start/ { print $5 }' "$T/dns") $(python3 -c '
import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) + 3 * 10**9)')" >>"$T/dns"
wait $holder
is "who has to ask loses its lock" $? 79
wait_for 5 grep -q '^end' "$T/dns"
ok "and is dead in time" tests/faults/oracle "$T/dns"
echo '127.0.0.1 lock.test' >"$T/hosts"
ok "the lock is takable when the name is there again" "$J" run -w 30s dns true
tap_done
