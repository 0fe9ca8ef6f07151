#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each of the agent's three processes killed and stopped under a held lock:
# the lock stays held, the work untouched, and when the service is then cut
# off, the work is dead before the lease ends.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

# A part that is stopped is seen after 4 s: that, a refresh before it and one
# after it fit into a lease of 20 s, not into one of 10 s.
agent_conf '"lifetime": 20'
service_start
agent_start
ticks

client command locks=a -- "$T/ticks" "$T/a.ticks" >"$T/a.out" 2>&1 &
ok "a command gets the lock" wait_for 5 is_ticking "$T/a.ticks"
client begin job=7 uid=1000 locks=j >/dev/null
client task job=7 uid=1000 locks=j -- "$T/ticks" "$T/j.ticks" >"$T/j.out" 2>&1 &
ok "a job gets its lock" wait_for 5 is_ticking "$T/j.ticks"

refreshed() { # the deadline lies further than when it was looked at
    left=$(left_of a) && [ -n "$left" ] && [ "$left" -gt 12000 ] && is_held j
}
for sig in KILL STOP; do
    for part in keeper guard watch; do
        pid=$(agent_pid $part)
        kill -$sig "$pid"
        ok "$part $sig: another takes its place" \
            wait_for 12 agent_pid_is_not $part "$pid"
        ok "$part $sig: the agent answers" wait_for 8 agent_answers
        sleep 8 # more than a refresh later
        ok "$part $sig: the locks are still held and refreshed" \
            wait_for 5 refreshed
        ok "$part $sig: the command works on" is_ticking "$T/a.ticks"
        ok "$part $sig: the job works on" is_ticking "$T/j.ticks"
        like "$part $sig: the service says that it is held" \
            "$(client command locks=a wait=0 -- true)" '^verdict 1 .*held by'
    done
done
is "one watch, one guard, one keeper" \
    "$(ps -e -o comm= | grep -cE '^justalock-(watch|guard|keep)')" 3

deadline=$(($(now_ms) + $(left_of a)))
service_cut
gone() { ! is_ticking "$T/a.ticks" && ! is_ticking "$T/j.ticks"; }
ok "service cut: the work ends" wait_for 25 gone
last=$(last_tick "$T/a.ticks")
ok "service cut: the command is dead before its deadline ($((deadline - last)) ms)" \
    [ "$last" -lt "$deadline" ]
last=$(last_tick "$T/j.ticks")
ok "service cut: the job is dead before its lease ends" \
    [ "$last" -lt $((deadline + 7400)) ]
service_back
ok "service back: both locks are free again" wait_for 15 is_free a
tap_done
