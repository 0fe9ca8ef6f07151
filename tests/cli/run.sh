#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `justalock run` without an agent, on a real server: statuses, waiting,
# environment, input and output, what a command leaves behind; and status and
# release.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
J=$B/bin/justalock
export JUSTALOCK_CONFIG="$T/conf.json"
service_start

code() { # COMMAND...: its exit status
    "$@" >"$T/out" 2>"$T/err"
    echo $?
}
run() { "$J" run "$@"; }
hold() { # LOCK [OPTION...]: a holder until $T/LOCK.go is gone
    hold_lock=$1
    shift
    touch "$T/$hold_lock.go"
    "$J" run "$@" "$hold_lock" sh -c \
        "while [ -e '$T/$hold_lock.go' ]; do sleep 0.02; done" &
    holder=$!
    wait_for 10 is_held_at_service "$hold_lock"
}
let_go() { rm -f "$T/$1.go"; }
state() { "$J" status --json "$1" | jq -r .state; }
is_held_at_service() { [ "$(state "$1")" = held ]; }
is_free_at_service() { [ "$(state "$1")" = free ]; }
ours_left() { # processes of justalock other than the server
    ps -e -o stat=,comm= | awk '$1 !~ /^Z/ && $2 ~ /^justalock/ && $2 !~ /^justalock-serv/' | wc -l
}
none_left() { [ "$(ours_left)" = 0 ]; }

# ---- statuses and what the command sees
is "the command's status" "$(code run x sh -c 'exit 7')" 7
is "-- before the command" "$(code run x -- sh -c 'exit 8')" 8
is "a command that a signal ended" "$(code run x sh -c 'kill -TERM $$')" 143
is "a command that is not there" "$(code run x "$T/nope")" 127
like "a command that is not there: said" "$(cat "$T/err")" 'cannot run .*/nope: No such'
is "a command that cannot be run" "$(code run x "$T")" 126
is "options of the command are its own" "$(run x printf '%s ' -n -w)" "-n -w "
is "JUSTALOCK_LOCK" "$(run x sh -c 'echo $JUSTALOCK_LOCK')" x
is "JUSTALOCK_ID" "$(run x sh -c 'echo $JUSTALOCK_ID')" "$("$J" id x)"
t1=$(run x sh -c 'echo $JUSTALOCK_TOKEN')
t2=$(JUSTALOCK_TOKEN=0 run x sh -c 'echo $JUSTALOCK_TOKEN')
ok "JUSTALOCK_TOKEN grows ($t1, $t2)" [ "$t1" -lt "$t2" ]
printf '{"service": {"url": "unix:%s"}, "secret_file": "%s", "hashed_names": true}\n' \
    "$T/srv.sock" "$T/secret" >"$T/hashed.json"
is "no JUSTALOCK_ID where names are hashed, not even an inherited one" \
    "$(JUSTALOCK_ID=old run --config "$T/hashed.json" x sh -c 'echo ${JUSTALOCK_ID-none}')" none
is "stdin is the command's" "$(echo hello | run x cat)" hello
is "all of a large output" "$(run x head -c 300000 /dev/zero | wc -c)" 300000
start=$(now_ms)
(exec "$J" run x sh -c 'echo a; exec >&-; sleep 3') | {
    wc -l >"$T/lines"
    now_ms >"$T/read"
}
is "a reader sees the end of the command's output" "$(cat "$T/lines")" 1
ok "though the command goes on" [ $(($(cat "$T/read") - start)) -lt 2500 ]
is "signals are as they were for the command" \
    "$(run x sed -n 's/^Sig\(Blk\|Ign\):\t//p' /proc/self/status | tr '\n' ' ')" \
    "$(sed -n 's/^Sig\(Blk\|Ign\):\t//p' /proc/self/status | tr '\n' ' ')"
is "no descriptor of ours reaches the command" \
    "$(run x sh -c 'ls /proc/$$/fd' | tr '\n' ' ')" \
    "$(sh -c 'ls /proc/$$/fd' | tr '\n' ' ')"
"$J" run x sh -c '[ -e /proc/$$/fd/0 ] || exit 5' <&-
is "no stdin, none for the command" $? 5
"$J" run x sh -c '[ -e /proc/$$/fd/0 ] || [ -e /proc/$$/fd/1 ] || exit 5' <&- >&-
is "no stdin and stdout, none for the command" $? 5
"$J" run x sh -c 'exit 6' <&- >&- 2>&-
is "none of the three" $? 6
is "the lock is free afterwards" "$(state x)" free
ok "nothing of ours is left" wait_for 5 none_left

# ---- busy
hold busy --label 'alice at work'
is "status: held" "$(state busy)" held
like "status in words" "$("$J" status busy)" \
    '^busy: held by alice at work since 20[0-9-]*T[0-9:]*Z, token [0-9]+, lease ends in [0-9]+ s unless refreshed, 0 waiting$'
is "-n: busy" "$(code run -n busy touch "$T/ran")" 75
like "-n: who holds it, since when, what to do" "$(cat "$T/err")" \
    '^justalock: busy is held by alice at work since 20[0-9T:Z-]*; touch was not started \(.*-w'
is "-n -E 3" "$(code run -n -E 3 busy touch "$T/ran")" 3
start=$(now_ms)
is "-w 700ms: busy" "$(code run -w 700ms busy touch "$T/ran")" 75
waited=$(($(now_ms) - start))
ok "-w 700ms: it waited that long ($waited ms)" \
    [ "$waited" -ge 690 -a "$waited" -lt 4000 ]
is "-w: one line says for whom it waits" \
    "$(grep -c '^justalock: waiting for busy, held by alice at work since' "$T/err")" 1
ok "nothing ran" [ ! -e "$T/ran" ]
"$J" run busy sh -c "echo got >'$T/next'" 2>"$T/err" &
next=$!
ok "waiting for ever: said" wait_for 10 grep -q 'waiting for busy' "$T/err"
"$J" run busy true 2>/dev/null &
given_up=$!
waiters() { [ "$("$J" status --json busy | jq .waiters)" = "$1" ]; }
ok "two wait at the service" wait_for 10 waiters 2
kill -TERM $given_up
wait $given_up
is "a signal ends a wait" $? 143
(trap '' HUP && exec "$J" run busy true 2>/dev/null) &
given_up=$!
ok "one waits that ignores HUP, as by nohup" wait_for 10 waiters 2
kill -HUP $given_up
kill -TERM $given_up # comes behind it
wait $given_up
is "HUP does not end its wait, TERM does" $? 143
ok "it has no place left" wait_for 10 waiters 1
ok "and the place in the queue" wait_for 10 waiters 1
let_go busy
wait $holder
is "the holder's status" $? 0
wait $next
is "the waiter runs then" "$? $(cat "$T/next")" "0 got"
is "status: free" "$(state busy)" free
like "status of a free lock" "$("$J" status busy)" '^busy: free$'

hold twice --client-id same
is "the same client id holds it too" "$(code run -n --client-id same twice true)" 0
is "another does not" "$(code run -n --client-id other twice true)" 75
let_go twice
wait $holder

# Twelve writers of one file, each alone while it writes.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    "$J" run -w 60s turn sh -c "echo in >>'$T/turns'; sleep 0.02; echo out >>'$T/turns'" 2>/dev/null &
    pids="${pids:-} $!"
done
# shellcheck disable=SC2086
wait $pids
is "twelve take turns" "$(paste -d ' ' - - <"$T/turns" | sort | uniq -c | sed 's/^ *//')" "12 in out"

# ---- what a command leaves behind
start=$(now_ms)
"$J" run stay sh -c '(setsid sleep 3 &) ; exit 5' 2>"$T/err" &
pid=$!
ok "a daemon of the command keeps the lock" wait_for 10 grep -q 'sh has ended; stay is kept until 1 more process it started ends' "$T/err"
is "at the service too" "$(state stay)" held
wait $pid
is "the status is the command's" $? 5
ok "after the daemon's end" [ $(($(now_ms) - start)) -ge 2900 ]
is "free then" "$(state stay)" free

# ---- --on-lost, and a lock that the admin breaks
breaks() { # LOCK OPTION...: run a command that says TERM, break, its status
    breaks_lock=$1
    shift
    rm -f "$T/term" "$T/up"
    "$J" run -t 3s "$@" "$breaks_lock" sh -c "trap 'echo t >>$T/term' USR1
        trap 'echo T >>$T/term; exit 0' TERM
        touch $T/up; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        sleep 0.2; done; exit 4" 2>"$T/err" &
    breaks_pid=$!
    wait_for 10 test -e "$T/up"
    "$J" release --yes "$breaks_lock" >/dev/null
    wait $breaks_pid
    echo $?
}
is "broken: the status" "$(breaks b1)" 79
is "broken: the command had its TERM" "$(cat "$T/term")" T
like "broken: said" "$(cat "$T/err")" '^justalock: lost lock b1: an admin has broken it at the service; ending sh$'
is "--on-lost log: the command goes on" "$(breaks b2 --on-lost log)" 4
ok "--on-lost log: no signal" [ ! -e "$T/term" ]
like "--on-lost log: said" "$(cat "$T/err")" 'lost lock b2: .*goes on without'
is "--on-lost signal:USR1: the command goes on" "$(breaks b3 --on-lost signal:USR1)" 4
is "--on-lost signal:USR1: once" "$(cat "$T/term")" t
is "release of a free lock" "$(code "$J" release --yes nobody)" 77
like "release of a free lock: said" "$(cat "$T/err")" '^justalock: nobody: nobody holds this lock'
is "release by another user" \
    "$(code setpriv --reuid=65534 --regid=65534 --clear-groups "$J" release --yes x)" 77
is "release asks on a terminal" \
    "$(printf 'n\n' | script -qec "'$J' release x" /dev/null | grep -c 'Break x?')" 1

# ---- an ordinary user
is "an ordinary user" \
    "$(code setpriv --reuid=65534 --regid=65534 --clear-groups "$J" run x sh -c 'exit 6')" 6
printf secret >"$T/token"
chmod 644 "$T/token"
printf '{"service": {"url": "unix:%s", "token_file": "%s"}}\n' "$T/srv.sock" \
    "$T/token" >"$T/token.json"
is "a token that others may read" "$(code run --config "$T/token.json" x true)" 78
chmod 600 "$T/token"
is "a token of ours" "$(code run --config "$T/token.json" x true)" 0
printf 'secret\0more' >"$T/token"
is "a token with a NUL byte" "$(code run --config "$T/token.json" x true)" 78
like "a token with a NUL byte: said" "$(cat "$T/err")" \
    'token_file .*/token: not one line of 1 to 255 printable characters'
printf '{"service": {"url": "unix:%s"}, "adhoc": false, "locks":
    {"mine": {"users": ["root"]}, "job": {"for": ["slurm"]}}}\n' "$T/srv.sock" >"$T/users.json"
chmod 644 "$T/users.json"
is "a lock that root may take" "$(code run --config "$T/users.json" mine true)" 0
is "a lock that others may not" "$(code setpriv --reuid=65534 --regid=65534 \
    --clear-groups "$J" run --config "$T/users.json" mine true)" 77
is "a lock for jobs alone" "$(code run --config "$T/users.json" job true)" 77
is "a name without a definition, where adhoc is off" \
    "$(code run --config "$T/users.json" other true)" 77

# ---- the service is away
service_stop
is "away, -n" "$(code run -n x touch "$T/ran")" 69
like "away, -n: said" "$(cat "$T/err")" 'x: .*touch was not started'
is "away, -w 1s" "$(code run -w 1s x touch "$T/ran")" 69
is "status" "$(code "$J" status x)" 69
like "status: of which lock" "$(cat "$T/err")" '^justalock: x: '
ok "nothing ran" [ ! -e "$T/ran" ]
"$J" run x echo here >"$T/late" 2>"$T/err" &
late=$!
ok "waiting for ever: the trouble is said" wait_for 10 grep -q 'still trying' "$T/err"
service_start
wait $late
is "and the command runs when the service is back" "$? $(cat "$T/late")" "0 here"
is "the trouble was said once" "$(grep -c 'still trying' "$T/err")" 1
ok "nothing of ours is left at the end" wait_for 5 none_left
tap_done
