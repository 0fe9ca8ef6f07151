#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A pool of three and eight commands: never more than three at once, and three
# where they may, each with a slot of its own, in the order of asking; with a
# server that is killed in between; and on a service that knows no pools.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
J=$B/bin/justalock
export JUSTALOCK_CONFIG="$T/conf.json"
cat >"$T/conf.json" <<END
{ "service": {"url": "unix:$T/srv.sock"}, "secret_file": "$T/secret",
  "locks": {"licences": {"slots": 3, "lifetime": 10}} }
END
service_start

cat >"$T/work" <<'END'
#!/bin/sh
# work NAME LOG SECONDS: one line at its begin, one at its end
echo "+ $1 ${JUSTALOCK_SLOT-none}" >>"$2"
while [ -e "$2.stay" ]; do sleep 0.05; done
sleep "$3"
echo "- $1 ${JUSTALOCK_SLOT-none}" >>"$2"
END
chmod 755 "$T/work"
touch "$T/log" "$T/log2" "$T/log3"
view() { "$J" status --json licences | jq -r "$1"; }
waits() { [ "$(view .waiters)" = "$1" ]; }
begun() { [ "$(grep -c '^+' "$1" 2>/dev/null)" -ge "$2" ]; }
# LOG: most at once, how many ran in all, slots that two had at once or that
# are none of the three.
sum_up() {
    awk '$1 == "+" { n++; all++; if (n > most) most = n
                     if (used[$3]++ || $3 !~ /^[012]$/) bad++ }
         $1 == "-" { n--; used[$3]-- }
         END { print most + 0, all + 0, bad + 0 }' "$1"
}

# ---- in the order of asking ------------------------------------------------------
touch "$T/log.stay"
n=0 workers=
while [ $n -lt 8 ]; do
    "$J" run licences "$T/work" $n "$T/log" 0.3 2>"$T/err.$n" &
    workers="$workers $!"
    n=$((n + 1))
    if [ $n -le 3 ]; then wait_for 10 begun "$T/log" $n; else wait_for 10 waits $((n - 3)); fi
done
like "status shows all holders" "$("$J" status licences)" \
    '^licences: 3 of 3 slots held, 5 waiting$'
is "each in its slot" "$("$J" status licences | sed -n 's/^  \(slot [0-9]\): held by .*/\1/p' | xargs)" \
    "slot 0 slot 1 slot 2"
is "as JSON too" "$(view '[.slots, [.holders[].slot]]' | tr -d ' \n')" "[3,[0,1,2]]"
rm "$T/log.stay"
bad=0
for w in $workers; do wait "$w" || bad=$((bad + 1)); done
is "all ended well" $bad 0
is "three at once, eight in all, no slot twice" "$(sum_up "$T/log")" "3 8 0"
# Those whose turn comes together may begin in any order.
is "nobody before one who asked three earlier" \
    "$(awk '$1 == "+" { if (k - $2 > 2 || $2 - k > 2) bad++; k++ } END { print k, bad + 0 }' "$T/log")" "8 0"

# ---- the server is killed in between ---------------------------------------------
n=0 workers=
while [ $n -lt 8 ]; do
    "$J" run licences "$T/work" $n "$T/log2" 0.3 2>"$T/err.$n" &
    workers="$workers $!"
    n=$((n + 1))
done
wait_for 10 begun "$T/log2" 3
kill -KILL "$SERVICE"
wait "$SERVICE" 2>/dev/null
service_start
wait_for 20 begun "$T/log2" 6
kill -KILL "$SERVICE"
wait "$SERVICE" 2>/dev/null
service_start
bad=0
for w in $workers; do wait "$w" || bad=$((bad + 1)); done
is "killed in between: all ended well" $bad 0
is "killed in between: three at once, eight in all, no slot twice" \
    "$(sum_up "$T/log2")" "3 8 0"

# ---- asking for it ---------------------------------------------------------------
code() { # COMMAND...: its exit status
    "$@" >"$T/out" 2>"$T/err"
    echo $?
}
is "--slots makes a pool" "$("$J" run --slots 2 adhoc sh -c 'echo $JUSTALOCK_SLOT')" 0
is "no pool, no slot, not even an inherited one" \
    "$(JUSTALOCK_SLOT=7 "$J" run adhoc sh -c 'echo ${JUSTALOCK_SLOT-none}')" none
is "not another number than is defined" "$(code "$J" run --slots 4 licences true) $(cat "$T/err")" \
    "64 justalock: --slots: 4, but licences is defined with 3"
is "the same is fine" "$(code "$J" run --slots 3 licences true)" 0
like "--slots 0" "$(code "$J" run --slots 0 x true) $(cat "$T/err")" '^64 .*--slots: 0 is not within 1 and 1024'
like "--slots 1025" "$(code "$J" run --slots 1025 x true) $(cat "$T/err")" '^64 .*1025 is not within'
"$J" run --slots 2 two sleep 30 &
one=$!
held() { [ "$("$J" status --json two | jq '.holders | length')" = "$1" ]; }
wait_for 10 held 1
"$J" run --slots 2 two sleep 30 &
two=$!
wait_for 10 held 2
is "the break of a slot that nobody has" "$(code "$J" release -y --slot 2 two)" 77
is "the break of one" "$(code "$J" release -y --slot 1 two)" 0
wait $two
is "ends its work" $? 79
is "the other goes on" "$(kill -0 $one && echo goes on)" "goes on"
kill $one
wait $one

# ---- a service that knows no pools -----------------------------------------------
service_stop
rm -f "$T/srv.sock"
tests/lib/base_service "$T/srv.sock" "$T/base.log" &
base=$!
wait_for 10 test -S "$T/srv.sock" && chmod 666 "$T/srv.sock"
n=0 workers=
while [ $n -lt 4 ]; do
    "$J" run licences "$T/work" $n "$T/log3" 0.4 2>"$T/err.$n" &
    workers="$workers $!"
    n=$((n + 1))
done
bad=0
for w in $workers; do wait "$w" || bad=$((bad + 1)); done
is "base: all ended well" $bad 0
is "base: three at once, four in all, no slot twice" "$(sum_up "$T/log3")" "3 4 0"
is "base: three locks stand for the slots" "$(cut -d ' ' -f 1 "$T/base.log" | sort -u | wc -l)" 3
is "base: one of them is the pool's own" \
    "$(cut -d ' ' -f 1 "$T/base.log" | sort -u | grep -cx "/$("$J" id licences)")" 1
is "base: only for that one the header" \
    "$(awk '$2 != "-" { print $1, $2 }' "$T/base.log" | sort -u)" "/$("$J" id licences) 3"
holders=
for n in 1 2 3; do
    "$J" run licences sleep 60 >"$T/none" 2>&1 &
    holders="$holders $!"
done
full() { [ "$(code "$J" run -n licences true)" = 75 ]; }
ok "base: a try of a full pool is refused" wait_for 20 full
# shellcheck disable=SC2086
kill $holders
# shellcheck disable=SC2086
wait $holders
kill $base
tap_done
