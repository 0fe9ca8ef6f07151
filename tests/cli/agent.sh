#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `justalock run` through the host's agent: what the command is given, where
# it runs, what a busy lock, a user without rights, a loss and a killed guard
# mean to it.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

J=$B/bin/justalock
unset JUSTALOCK_URL
export JUSTALOCK_CONFIG="$T/conf.json"
agent_conf '"lifetime": 12' '"locks": {
    "open": {"for": ["command"], "users": ["nobody"]},
    "grace": {"grace": "5s", "lifetime": 30},
    "a,b": {"lifetime": 11}, "fails": {"on_busy": "fail", "on_unreachable": "open"},
    "ends": {"on_end": "kill", "grace": "100ms"}, "lets": {"on_end": "release"},
    "hold": {"on_lost": "log"}}'
service_start
agent_start
ticks
run() { "$J" run --socket /run/agent.sock "$@" 2>"$T/err"; }
code() { run "$@" >"$T/out"; echo $?; }
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

is "the command's exit status" "$(code a sh -c 'exit 7')" 7
is "128+n for its signal" "$(code a sh -c 'kill -TERM $$')" 143
is "126: it cannot be run" "$(code a /etc/passwd)" 126
is "127: it is not there" "$(code a "$T/none")" 127
like "its environment" \
    "$(run a sh -c 'echo $JUSTALOCK_LOCK/$JUSTALOCK_TOKEN/$JUSTALOCK_ID')" \
    "^a/[1-9][0-9]*/$("$J" id a)\$"
is "what it reads and writes is ours" "$(echo hello | run a cat)" hello
is "no descriptor of ours reaches it" "$(run a sh -c 'ls /proc/$$/fd' | tr '\n' ' ')" \
    "$(sh -c 'ls /proc/$$/fd' | tr '\n' ' ')"

is "a name with a % is what it is" "$(run '50%u' sh -c 'echo $JUSTALOCK_LOCK $JUSTALOCK_ID')" \
    "50%u $("$J" id '50%u')"
is "-t: the times that are made of a lifetime are made of this one" \
    "$(run -t 2 a sh -c 'sleep 3; echo long')" long
is "-t: too short for a configured grace: 64" "$(code -t 5 grace true)" 64
like "-t: and said" "$(cat "$T/err")" 'lock "grace": the times do not fit a lifetime of 5 s'

# Born in its cgroup, or moved there before it began.
if [ -n "$(agent_cgroups)" ]; then
    like "root's command runs in a cgroup of its own" \
        "$(run a cat /proc/self/cgroup)" 'justalock/[0-9a-f]*/command-[0-9]+$'
    like "so do its children" \
        "$(run a sh -c '(cat /proc/self/cgroup); true')" '/command-[0-9]+$'
    like "so does a user's" \
        "$(as_nobody "$J" run --socket /run/agent.sock open \
            cat /proc/self/cgroup 2>&1)" '/command-[0-9]+$'
else
    skip "root's command runs in a cgroup of its own" "no cgroup v2 here"
fi
is "a user's command runs as the user" \
    "$(as_nobody "$J" run --socket /run/agent.sock open id -u 2>&1)" 65534
like "a user may not take any other lock" \
    "$(as_nobody "$J" run --socket /run/agent.sock closed id -u 2>&1)" \
    '^justalock: .*closed.*not opened'
ok "nothing is held after all that" wait_for 10 is_free a

# ---- busy
"$J" run --socket /run/agent.sock --label 'alice at work' busy \
    "$T/ticks" "$T/busy.ticks" &
holder=$!
ok "held" wait_for 10 is_ticking "$T/busy.ticks"
is "-n: busy" "$(code -n busy touch "$T/ran")" 75
like "-n: by whom, since when, what to do" "$(cat "$T/err")" \
    '^justalock: lock "busy" is held by alice at work since 20.*; touch was not started \(wait for it with -w TIME\)$'
is "-n -E 9" "$(code -n -E 9 busy touch "$T/ran")" 9
is "-w 300ms: busy" "$(code -w 300ms busy touch "$T/ran")" 75
like "-w 300ms: what to do" "$(tail -n 1 "$T/err")" '\(wait longer with -w TIME\)$'
ok "nothing ran" [ ! -e "$T/ran" ]
"$J" run --socket /run/agent.sock busy touch "$T/next" 2>"$T/err" &
next=$!
ok "who waits is told for whom" \
    wait_for 10 grep -q 'waiting for lock "busy", held by alice at work' "$T/err"
ok "and has not begun" [ ! -e "$T/next" ]
kill -TERM $holder
wait $holder
is "a signal goes on to the command" $? 143
wait $next
is "the next one runs" "$? $(ls "$T/next")" "0 $T/next"

# ---- the guard is killed while the command runs, and while one waits
"$J" run --socket /run/agent.sock g "$T/ticks" "$T/g.ticks" 2>/dev/null &
holder=$!
ok "g: held" wait_for 10 is_ticking "$T/g.ticks"
"$J" run --socket /run/agent.sock g touch "$T/g.next" 2>"$T/err" &
next=$!
ok "g: one waits" wait_for 10 grep -q 'waiting for lock "g"' "$T/err"
guard=$(agent_pid guard)
kill -KILL "$guard"
ok "g: a new guard" wait_for 10 agent_pid_is_not guard "$guard"
ok "g: it answers" wait_for 10 agent_answers
ok "g: the command works on" is_ticking "$T/g.ticks"
ok "g: and is held" wait_for 10 is_held g
ok "g: nobody else has begun" [ ! -e "$T/g.next" ]
kill -TERM $holder
wait $holder
is "g: its status comes through" $? 143
wait $next
is "g: the next one runs" "$? $(ls "$T/g.next")" "0 $T/g.next"

# ---- the agent goes away after its word, before the command is started
# LeakSanitizer does not work under strace.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 strace -qq -o "$T/trace" -e trace=clone,clone3 -e inject=clone,clone3:delay_enter=2s \
    "$J" run --socket /run/agent.sock s touch "$T/s.done" 2>"$T/err" &
holder=$!
ok "s: held, not started" wait_for 10 is_held s
guard=$(agent_pid guard)
kill -KILL "$guard"
wait $holder
is "s: started all the same, by the next guard" "$? $(cat "$T/err") $(ls "$T/s.done")" "0  $T/s.done"
ok "s: the delay was there" grep -q DELAYED "$T/trace"
ok "s: free" wait_for 10 is_free s

# ---- what a definition says means the same with an agent and without
alone() { "$J" run "$@" 2>"$T/err"; }
holds() { # NAME VIA: until $T/over
    rm -f "$T/over" "$T/held"
    "$2" "$1" sh -c 'touch "$0/held"; while [ ! -e "$0/over" ]; do sleep 0.05; done' "$T" &
    holder=$!
    wait_for 10 test -e "$T/held"
}
has_ended() { ! is_ticking "$1"; }
over() { touch "$T/over" && wait $holder; }
for via in run alone; do
    other=run
    [ $via = alone ] || other=alone
    holds a,b $via
    is "$via: a name with a comma is one lock, for the other way too" "$($other -n a,b true; echo $?)" 75
    over
    holds fails $via
    is "$via: -w goes before on_busy: fail" \
        "$( (sleep 1; touch "$T/over") & $via -w 20s fails echo in)" in
    wait $holder
    holds fails $via
    is "$via: on_busy: fail without it" "$($via fails true; echo $?)" 75
    over
    is "$via: on_end: kill ends what is left" \
        "$($via ends sh -c "setsid '$T/ticks' '$T/$via.ends' deaf >/dev/null 2>&1 &
            while [ ! -s '$T/$via.ends' ]; do sleep 0.05; done; exit 3"; echo $?)" 3
    ok "$via: and then gives back" wait_for 10 is_free ends
    ok "$via: it is dead" wait_for 5 has_ended "$T/$via.ends"
    is "$via: on_end: release leaves it alone" \
        "$($via lets sh -c "setsid '$T/ticks' '$T/$via.lets' >/dev/null 2>&1 &
            while [ ! -s '$T/$via.lets' ]; do sleep 0.05; done; exit 4"; echo $?)" 4
    ok "$via: and gives back" wait_for 10 is_free lets
    ok "$via: it lives" is_ticking "$T/$via.lets"
done
run keeps sh -c "setsid '$T/ticks' '$T/keeps' >/dev/null 2>&1 &
    while [ ! -s '$T/keeps' ]; do sleep 0.05; done"
like "what is left keeps the lock: said by list" "$("$J" list --socket /run/agent.sock)" \
    '^kept +keeps  command [0-9]+  since .*, sure for [0-9]+ s, token [0-9]+, [1-9] process'
is "and busy for others" "$(run -n keeps true; echo $?)" 75
kill "$(pgrep -f "ticks $T/keeps")"
ok "it ends: free" wait_for 10 is_free keeps
watch=$(agent_pid watch)
is "the same where it ends while there is no guard" "$(run keeps sh -c "
    setsid '$T/ticks' '$T/keeps.2' >/dev/null 2>&1 &
    while [ ! -s '$T/keeps.2' ]; do sleep 0.05; done
    kill -STOP $watch; kill -KILL $(agent_pid guard); exit 5"; echo $?)" 5
kill -CONT "$watch"
wait_for 10 agent_answers
kept() { "$J" list --socket /run/agent.sock | grep -q '^kept  *keeps '; }
ok "no guard: what is left keeps the lock" wait_for 10 kept
ok "no guard: and lives" is_ticking "$T/keeps.2"
kill "$(pgrep -f "ticks $T/keeps.2")"
ok "no guard: it ends: free" wait_for 10 is_free keeps
service_cut
is "no service, on_unreachable: open: no command starts" "$(run -n fails echo in; echo $?)" 69
is "alone: the same" "$(alone -n fails echo in; echo $?)" 69
service_back
wait_for 20 is_free fails

# ---- the loss
"$J" run --socket /run/agent.sock l "$T/ticks" "$T/l.ticks" deaf 2>"$T/err" &
holder=$!
"$J" run --socket /run/agent.sock hold "$T/ticks" "$T/h.ticks" 2>"$T/herr" &
logged=$!
ok "l: held" wait_for 10 is_ticking "$T/l.ticks"
ok "hold: held" wait_for 10 is_ticking "$T/h.ticks"
deadline=$(($(now_ms) + $(left_of l)))
service_cut
wait $holder
is "l: 79, lost and dead" $? 79
ok "l: dead before the lease's end" [ "$(last_tick "$T/l.ticks")" -lt "$deadline" ]
like "l: said" "$(cat "$T/err")" '^justalock: .*lock "l"'
ok "hold: on_lost log lets it run" is_ticking "$T/h.ticks"
kill -TERM $logged
wait $logged
logged=$?
service_back
is "hold: on_lost log of its definition: its own status" "$logged" 143
like "hold: said" "$(cat "$T/herr")" '^justalock: .*lock "hold"'
ok "all is given back" wait_for 20 is_free hold
agent_stop
tap_done
