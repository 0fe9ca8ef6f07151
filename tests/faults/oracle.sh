#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The oracle and what feeds it: planted faults are found, clean histories
# pass, an end is that of a work's last process. See tests/faults/oracle.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
F=$B/tests/faults
ORACLE=tests/faults/oracle

# judge LINE...: sets $rc and $T/out, $T/err
judge() {
    printf '%s\n' "$@" >"$T/history"
    $ORACLE "$T/history" >"$T/out" 2>"$T/err"
    rc=$?
}
value() { sed -n "s/^$1 //p" "$T/out"; }
broke() { # TEXT RULE: that rule, and no other
    is "$1" "$rc: $(sed -n 's/^\(overlaps\|tokens\|missing\|late\) \(.*[1-9].*\)/\1/p' "$T/out" | tr '\n' ' ')" "1: $2 "
}
a() { # [END]: the first holder of a, from 1 s to 2 s
    echo "start a A 1000000000 1 ${2:--}"
    [ "${1:-}" = none ] || echo "end a A ${1:-2000000000}"
}

# ---- planted faults
judge "$(a)" "start a B 2000000000 2 -" "end a B 3000000000" \
    "start b C 1500000000 7 -" "end b C 1600000000" "lease a 1 2000000000"
is "a clean history" "$rc: $(value holdings) $(value overlaps) $(value leases)" "0: 3 0 1"
judge "$(a)" "start a B 1999999999 2 -" "end a B 3000000000"
broke "an overlap of a nanosecond" overlaps
judge "$(a 9000000000)" "start a B 3000000000 2 -" "end a B 4000000000" \
    "start a C 5000000000 3 -" "end a C 6500000000"
is "one long holding over two others" "$rc: $(value overlaps) $(value together_ms)" "1: 2 1500.0"
judge "$(a)" "start a B 3000000000 2 beside" "end a B 4000000000"
broke "one that met another" overlaps
judge "$(a)" "start a B 3000000000 1 -" "end a B 4000000000"
broke "equal tokens" tokens
judge "start a B 3000000000 1 -" "end a B 4000000000" "start a A 1000000000 2 -" "end a A 2000000000"
broke "a smaller token, lines in any order" tokens
judge "$(a)" "start a B 3000000000 - -" "end a B 4000000000"
is "no tokens where the service gives none" $rc 0
judge "$(a none)"
broke "a missing end" missing
judge "$(a none)" "start a B 3000000000 2 alone" "end a B 4000000000"
broke "a missing end, though the next one was alone" missing
judge "$(a)" "lease a 1 1999999999"
broke "dead a nanosecond after the lease" late
judge "$(a)" "lease a 1 2249000000"
$ORACLE --spare 249 "$T/history" >/dev/null 2>&1 && $ORACLE --spare 250 "$T/history" >"$T/out" 2>&1
rc=$?
broke "dead, but not with the time to spare that was asked for" late
judge "$(a)" "lease a 1 1500000000" "lease a 1 2500000000" "lease a 1 1800000000"
is "the latest lease counts" "$rc: $(value dead_minus_lease_end_ms)" "0: -500.0 -500.0"
judge "$(a 2000500000 alone)" "start a B 2000000000 2 alone" "end a B 3000000000"
is "an end that was read late, the next one alone" $rc 0
judge "$(a 2000500000 -)" "start a B 2000000000 2 alone" "end a B 3000000000"
broke "which proves nothing of one that nobody looked at" overlaps
judge "$(a)" "start a A 3000000000 2 -"
is "a work that starts twice" $rc 2
judge "$(a)" "end a B 3000000000"
is "an end without a start" $rc 2
judge ""
is "an empty line" $rc 2
: >"$T/history"
$ORACLE "$T/history" >/dev/null 2>&1
is "an empty history" $? 2
printf 'start a A 1 1 -\nend a A 2000' >"$T/history"
$ORACLE "$T/history" >/dev/null 2>"$T/err"
is "a truncated line" "$?: $(grep -c ':2: a line without its end' "$T/err")" "2: 1"
judge "$(a)" "start a B 2000"
like "a line that lost its half" "$rc: $(cat "$T/err")" '^2: .*:3: no line of a history'
judge "$(a)" "fault kill 1500000000 a A" "start a B 2500000000 2 -" "end a B 3000000000" "done a B 2900000000"
is "a handover after a fault" "$rc: $(value fault), lost without cause $(value unmeant)" \
    "0: kill 1 1 1000.0 1000.0, lost without cause 0"

# ---- 10^5 holdings, and one fault among them
awk 'BEGIN { for (i = 0; i < 100000; i++) { t = 1000 + i * 10
    printf "start l%d w%d %d000 %d alone\nend l%d w%d %d000\n", i % 10, i, t, i, i % 10, i, t + 99
    printf "lease l%d %d %d000\n", i % 10, i, t + 150 } }' >"$T/large"
start=$(now_ms)
$ORACLE --least 100000 "$T/large" >"$T/out"
is "a hundred thousand holdings" "$?: $(value holdings)" "0: 100000"
ok "in seconds ($(($(now_ms) - start)) ms)" [ $(($(now_ms) - start)) -lt 30000 ]
sed -i '/^end l7 w55557 /s/.*/end l7 w55557 900000000/; s/^\(start l7 w55567 .*\) alone/\1 -/' "$T/large"
$ORACLE "$T/large" >"$T/out" 2>"$T/err"
is "one overlap and one late death among them" "$?: $(value overlaps) $(value late)" "1: 1 1"

# ---- works and their recorder
: >"$T/real"
chmod 666 "$T/real"
"$F/recorder" "$T/rec" "$T/real" &
wait_for 10 test -S "$T/rec"
has() { grep -q "$1" "$T/real"; }
count() { grep -c "$1" "$T/real"; }
WORK_LOCK=x WORK_TOKEN=1 "$F/work" "$T/rec" 50
ok "a work's end" wait_for 5 has '^end x '
is "it said before that it was done" "$(count '^done x ')" 1

export WORK_LOCK=y WORK_TOKEN=2
"$F/work" "$T/rec" -f -d 0 &
work=$!
wait_for 5 has '^start y .* alone$'
wait_for 5 pgrep -P 1 -x work >"$T/pids"
kill -KILL $work
wait $work 2>/dev/null
away() { pgrep -x work >"$T/pids"; }
ok "its child lives on" away
ok "so it has no end" [ "$(count '^end y ')" = 0 ]
WORK_TOKEN=3 "$F/work" "$T/rec" 1
ok "who starts now is beside it" has '^start y .* 3 beside$'
xargs kill -KILL <"$T/pids"
# shellcheck disable=SC2016
ok "its end is that of its last process" wait_for 5 sh -c '[ $(grep -c "^end y" "$0") = 2 ]' "$T/real"
WORK_TOKEN=4 "$F/work" "$T/rec" -- sh -c 'sleep 0.1; exit 3'
is "a command as a work" $? 3
ok "its start" has '^start y .* 4 alone$'
ended() { [ "$(count '^start ')" = "$(count '^end ')" ]; }
ok "all have ends" wait_for 5 ended
$ORACLE "$T/real" >"$T/out" 2>"$T/err"
is "the oracle tells" "$?: $(value holdings) $(value overlaps) $(value missing) $(value cut)" "1: 4 1 0 2"
tap_done
