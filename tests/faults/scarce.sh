#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No room in /run and no memory for guard, keeper and server: what is held
# stays held and is refreshed, its work works on, what is new is refused with
# a sentence, and all goes on when there is some again.
#
# FAULT_LONG=1: the server's clients are heard to their end.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

J=$B/bin/justalock
agent_conf '"lifetime": 8'
service_start
ticks
small() { # SIZE: the agent's state in a file system of its own
    umount "$AGENT_STATE" 2>/dev/null
    mkdir -p "$AGENT_STATE"
    mount -t tmpfs -o "size=$1,mode=700" tmpfs "$AGENT_STATE"
}
fill() { dd if=/dev/zero of="$AGENT_STATE/fill" bs=4096 2>/dev/null; }
room() { rm "$AGENT_STATE/fill"; }
held() { # they are, work, and were refreshed not long ago
    h_a=$(left_of a) h_j=$(left_of j)
    is_held a && is_held j && is_ticking "$T/a.ticks" && is_ticking "$T/j.ticks" &&
        [ "${h_a:-0}" -gt 2000 ] && [ "${h_j:-0}" -gt 2000 ]
}
hold() {
    "$B/tests/agent/wire_client" /run/agent.sock command locks=a -- \
        "$T/ticks" "$T/a.ticks" >"$T/a.out" 2>&1 &
    client begin job=7 uid=1000 locks=j >/dev/null
    "$B/tests/agent/wire_client" /run/agent.sock task job=7 uid=1000 locks=j -- \
        "$T/ticks" "$T/j.ticks" >"$T/j.out" 2>&1 &
    wait_for 20 is_ticking "$T/a.ticks" && wait_for 20 is_ticking "$T/j.ticks"
}
for_a_lease() { # stays so, for longer than one
    fl_end=$(($(now_ms) + 9000))
    while [ "$(now_ms)" -lt $fl_end ]; do
        wait_for 2 held || return 1
        sleep 0.2
    done
}

# ---- no room -------------------------------------------------------------------
small 1m
"$B/bin/justalock-agent" --config "$T/conf.json" --socket /run/agent.sock \
    --state "$AGENT_STATE" --keeper-user nobody >"$T/small.log" 2>&1
is "too small for the table: it does not start" $? 71
like "too small for the table: and says so" "$(cat "$T/small.log")" \
    'table: the table of deadlines, [0-9]* bytes: No space left'
small 2200k
agent_start
ok "a command and a job hold locks" hold
fill
like "full: a command is refused" "$(client command locks=b -- true)" \
    '^verdict 8 .*No space left'
client begin job=8 uid=1000 locks=c >/dev/null
like "full: so is a job" "$(client task job=8 uid=1000 locks=c -- true)" \
    '^verdict 8 .*No space left'
client end job=8 uid=1000 >/dev/null
is "full: justalock run says so too" \
    "$("$J" run --socket /run/agent.sock b true 2>"$T/err"; echo $?)" 71
like "full: in a sentence" "$(cat "$T/err")" '^justalock: .*No space left'
for part in guard keeper watch; do
    pid=$(agent_pid $part)
    kill -KILL "$pid"
    ok "full, $part killed: another takes its place" \
        wait_for 20 agent_pid_is_not $part "$pid"
    ok "full, $part killed: all is held" wait_for 10 held
done
ok "full: held and refreshed for longer than a lease" for_a_lease
is "full: nothing was broken off" "$(grep -c 'killed by signal 7' "$T/agent.log")" 0
client end job=7 uid=1000 >/dev/null
ok "full: what is given back is free" wait_for 20 is_free j
room
like "room again: it is taken anew" "$(client command locks=j -- echo in)" '^in$'
like "room again: so is what was refused" "$(client command locks=b -- echo in)" '^in$'
pkill -KILL -f "$T/ticks $T/a.ticks"
ok "and given back" wait_for 20 is_free a
agent_stop

# ---- no memory -----------------------------------------------------------------
agent_start
ok "they hold locks again" hold
squeeze() { # PID KB: no more than it has, and that
    sq_kb=$(awk '/^VmSize/ { print $2 }' "/proc/$1/status")
    limit "$1" $(((sq_kb + $2) * 1024))
}
ease() { [ ! -d "/proc/$1" ] || limit "$1" unlimited; }
limit() { # As its user: no capability is needed then.
    li_uid=$(awk '/^Uid/ { print $2 }' "/proc/$1/status")
    li_gid=$(awk '/^Gid/ { print $2 }' "/proc/$1/status")
    setpriv --reuid="$li_uid" --regid="$li_gid" --clear-groups \
        prlimit --pid "$1" --as="$2:"
}
storm() { # 40 who come at once; none of them hangs
    st_pids=
    for st_i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 \
        21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
        timeout 20 "$B/tests/agent/wire_client" /run/agent.sock command \
            locks="m$st_i,n$st_i,o$st_i" label="$st_i" wait=3000 -- true \
            >"$T/storm.$st_i" 2>&1 &
        st_pids="$st_pids $!"
    done
    st_hung=0
    for st_pid in $st_pids; do
        wait "$st_pid"
        [ $? != 124 ] || st_hung=$((st_hung + 1))
    done
}
for part in guard keeper; do
    pid=$(agent_pid $part)
    ok "$part: its memory is limited" squeeze "$pid" 0
    storm
    is "$part without memory: nobody waits for ever" $st_hung 0
    echo "# $part: $(cat "$T"/storm.* | grep -c '^exit 0') of 40 ran, others:" \
        "$(cat "$T"/storm.* | grep -vE '^(exit 0|verdict 0|note)' | cut -c 1-60 | sort | uniq -c | sort -rn | head -n 2 | tr -s '\n ' ' ')"
    ok "$part without memory: what is held is so, for longer than a lease" for_a_lease
    ease "$pid"
    ok "$part with memory again: all is held" wait_for 20 held
    like "$part with memory again: locks are taken" \
        "$(client command locks=m1,n1 wait=20000 -- echo in)" '^in$'
done
# The server reads all of its state anew after a commit that failed; one that
# has no memory for that either answers 503, and its holders lose their locks.
squeeze "$SERVICE" 300
timeout "${FAULT_LONG:+12}6" "$B/tests/server/storm" "$T/srv.sock" 2 30 6 >"$T/direct"
is "server without memory: its word is kept" \
    "$(grep ^broken "$T/direct" | grep -v 'no answer for' | head -n 5)" ""
echo "# server: $(tail -n 1 "$T/direct")"
ease "$SERVICE"
like "server with memory again: locks are taken, without a restart" \
    "$(client command locks=m1,n1 wait=20000 -- echo in)" '^in$'
ok "server: it is the same process" kill -0 "$SERVICE"
# ---- killed for want of it ---------------------------------------------------------
# What the kernel does at the end of memory is a SIGKILL, to the keeper first.
is "the keeper is what goes first" \
    "$(cat "/proc/$(agent_pid keeper)/oom_score_adj")" 0
adj=$(cat "/proc/$(agent_pid watch)/oom_score_adj")
ok "and the watch last ($adj)" [ "$adj" -le 0 ]
tap_done
