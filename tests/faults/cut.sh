#!/bin/sh
# SPDX-License-Identifier: MIT
#
# All three processes of the agent are killed and their state in /run is cut:
# the records of held work at every length, the table at many. A new agent
# adopts what is whole; the rest is dead before anyone else has its lock
# (tests/faults/witness.c sees to that), and every lock can be taken again.
#
# FAULT_LONG=1: every length of a record; of the table each of the first 128
# bytes, with all that its head says, and every seventh of its first two rows.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

W=$B/tests/faults/witness
M=$T/marks
mkdir -m 1777 "$M"
agent_conf '"lifetime": 6'
service_start
agent_start

broken() { cat "$M/broken" 2>/dev/null; }
fall() { # [keeper]: all parts of the agent at once; or all but the keeper
    fall_pids="$(agent_pid watch) $(agent_pid guard)"
    [ "${1:-}" = keeper ] || fall_pids="$fall_pids $(agent_pid keeper)"
    # shellcheck disable=SC2086
    kill -STOP $fall_pids && kill -KILL $fall_pids
    for fall_pid in $fall_pids; do
        while proc_runs "$fall_pid"; do sleep 0.01; done
    done
}
proc_runs() { # PID: and is no zombie
    grep -qs '^State:.[^ZX]' "/proc/$1/status"
}
job_holds() { # NUMBER LOCK KIND...
    jh_n=$1 jh_lock=$2
    shift 2
    client begin job="$jh_n" uid=1000 locks="$jh_lock" >/dev/null
    "$B/tests/agent/wire_client" /run/agent.sock task job="$jh_n" uid=1000 \
        locks="$jh_lock" -- "$W" "$M" "$jh_lock" 600000 "$@" \
        >/dev/null 2>&1 &
    wait_for 20 test -e "$M/$jh_lock" || echo "# $jh_lock is not taken"
}
command_holds() { # LOCK KIND...
    ch_lock=$1
    shift
    "$B/tests/agent/wire_client" /run/agent.sock command locks="$ch_lock" -- \
        "$W" "$M" "$ch_lock" 600000 "$@" >/dev/null 2>&1 &
    wait_for 20 test -e "$M/$ch_lock" || echo "# $ch_lock is not taken"
}
# The next one gets the lock; it says so itself if that is too early.
next_has() { # LOCK
    client command locks="$1" wait=30000 -- "$W" "$M" "$1" 20 |
        grep -q '^exit 0'
}
record_of() { # LOCK
    grep -l "$1" "$AGENT_STATE"/work-* 2>/dev/null | head -n 1
}

# ---- records -----------------------------------------------------------------
job_holds 1 whole-job setsid deaf
command_holds whole-command setsid deaf
size=$(stat -c %s "$(record_of whole-job)")
step=24
[ -z "${FAULT_LONG:-}" ] || step=1
lengths=$(seq 0 $step "$size")
n=0
for len in $lengths; do
    n=$((n + 1))
    job_holds $((100 + len)) "cut-$len-" plain
done
fall
cut=0
for len in $lengths; do
    f=$(record_of "cut-$len-")
    [ -n "$f" ] && [ "$len" -le "$(stat -c %s "$f")" ] || continue
    truncate -s "$len" "$f"
    cut=$((cut + 1))
done
agent_start
ok "$cut of $n records cut, of $size bytes: a new agent answers" agent_answers
next=
for len in $lengths; do
    next_has "cut-$len-" &
    next="$next $!"
done
late=0
for pid in $next; do wait "$pid" || late=$((late + 1)); done
is "each of these locks is taken again" $late 0
is "and not while its work lived" "$(broken)" ""
rm -f "$M/broken"
ok "what was whole is held" is_held whole-job
ok "what was whole is held, a command" is_held whole-command
works_on() { pgrep -f "^$W $M $1 " >/dev/null; }
ok "and works on" works_on whole-job
ok "and works on, the command" works_on whole-command
for n in 1 $(for len in $lengths; do echo $((100 + len)); done); do
    client end job="$n" >/dev/null
done
pkill -KILL -f "^$W $M whole-command "
none() { [ "$(client list | grep -c '^item')" = 0 ]; }
ok "at the end nothing is held" wait_for 20 none

# ---- the table ---------------------------------------------------------------
# Its head is 4096 bytes, its rows 464 each; what was taken last comes first.
spare() { [ $(($1 % 2)) -eq 0 ] || echo keeper; }
round=0
table_round() { # TEXT COMMAND...: done to the table between two agents
    round=$((round + 1))
    tr_text=$1
    shift
    job_holds $((5000 + round)) "table-job-$round" setsid deaf stop
    command_holds "table-command-$round" setsid deaf
    # shellcheck disable=SC2046
    fall $(spare $round)
    (cd "$AGENT_STATE" && "$@")
    agent_start
    ok "table $tr_text: a new agent answers" agent_answers
    next_has "table-command-$round" &
    tr_next=$!
    ok "table $tr_text: the job's lock is taken again" next_has "table-job-$round"
    wait $tr_next
    is "table $tr_text: the command's too" $? 0
    is "table $tr_text: not while the work lived" "$(broken)" ""
    rm -f "$M/broken"
    client end job=$((5000 + round)) >/dev/null
    ok "table $tr_text: nothing stays" wait_for 20 none
}
scribble() { # AT COUNT
    dd if=/dev/urandom of=table bs=1 seek="$1" count="$2" conv=notrunc 2>/dev/null
}
cuts="0 1 60 4095 4096 4400 5000"
[ -z "${FAULT_LONG:-}" ] || cuts="$(seq 0 128) $(seq 4090 7 5100)"
for at in $cuts; do
    table_round "cut at $at" truncate -s "$at" table
done
table_round "gone" rm table
table_round "of another magic" scribble 0 8
table_round "of another boot" scribble 16 8
is "no cgroup stays" "$(agent_cgroups | while read -r d; do
    find "$d" -mindepth 1 -type d
done)" ""
tap_done
