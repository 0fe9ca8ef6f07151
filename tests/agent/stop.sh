#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A plain stop: started again before the deadline, nothing is lost; without
# that the work is dead before the lease ends; and with no work nothing stays.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

ours() { ps -e -o comm= | grep -cE '^justalock-(watch|guard|keep)'; }
service_start
agent_start
ticks

agent_stop
is "a stop without work leaves no process" "$(ours)" 0
is "and no cgroup" "$(agent_cgroups)" ""
agent_start

client begin job=3 uid=1000 locks=j >/dev/null
client task job=3 uid=1000 locks=j -- "$T/ticks" "$T/j.ticks" >/dev/null 2>&1 &
ok "a job gets its lock" wait_for 5 is_ticking "$T/j.ticks"
client command locks=a -- "$T/ticks" "$T/a.ticks" >"$T/a.out" 2>&1 &
ok "a command gets its lock" wait_for 5 is_ticking "$T/a.ticks"

agent_stop
is "a stop with work leaves one process" "$(ours)" 1
ok "the work goes on" is_ticking "$T/j.ticks"
agent_start
is "started again: one watch, one guard, one keeper" "$(ours)" 3
sleep 4
ok "started again: the job's lock is held" is_held j
ok "started again: the command's lock is held" is_held a
ok "started again: refreshed" [ "$(left_of j)" -gt 6000 ]
ok "the job works on" is_ticking "$T/j.ticks"
ok "the command works on" is_ticking "$T/a.ticks"
like "a second agent on the same state is refused" \
    "$("$B/bin/justalock-agent" --config "$T/conf.json" \
        --socket /run/other.sock --state "$AGENT_STATE" 2>&1)" \
    'another agent .process [0-9]*. runs with the state in'
ok "and the first one still answers" agent_answers

deadline=$(($(now_ms) + $(left_of j)))
agent_stop
gone() { ! is_ticking "$T/j.ticks" && ! is_ticking "$T/a.ticks"; }
ok "stopped for good: the work ends" wait_for 20 gone
last=$(last_tick "$T/j.ticks")
ok "stopped for good: dead before its lease ends ($((deadline - last)) ms)" \
    [ "$last" -lt "$deadline" ]
none() { [ "$(ours)" = 0 ]; }
ok "stopped for good: nothing of ours stays" wait_for 5 none

# Two were there to follow a killed watch: one whose guard gave it the socket,
# and a supervisor's, which was first, made the socket anew, and was killed too.
heir() {
    python3 -c 'import os, socket, sys
path = sys.argv[1]
old = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
for s in old, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET):
    if os.path.exists(path):
        os.unlink(path)
    s.bind(path)
    s.listen()
os.set_inheritable(old.fileno(), True)
os.execv(sys.argv[2], sys.argv[2:] + ["--internal-listen-fd", str(old.fileno())])' \
        /run/agent.sock "$B/bin/justalock-agent" --config "$T/conf.json" \
        --socket /run/agent.sock --state "$AGENT_STATE" \
        --keeper-user nobody >>"$T/agent.log" 2>&1 &
    AGENT=$!
}
heir
ok "an inherited socket that nobody finds: the agent answers" \
    wait_for 10 agent_answers
agent_stop

# What the state folder still says is of work that is dead.
agent_start
ok "started later: the locks are given back" wait_for 10 is_free j
ok "started later: and taken again" \
    [ "$(client command locks=j wait=15000 -- true | grep -c '^exit 0')" = 1 ]
tap_done
