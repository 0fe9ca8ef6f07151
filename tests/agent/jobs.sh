#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What jobs and commands ask for and are answered: lists, policies, waits that
# are given up, incarnations, users, wrong requests, reload, damaged records.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

agent_conf '"lifetime": 10' '"locks": {
    "open": {"for": ["command"], "users": ["nobody"]},
    "io": {"for": ["slurm"]}, "pamonly": {"for": ["pam"]}},
  "slurm": {"rules": [{"partition": "io", "lock": "io"}]}'
service_start
agent_start
ticks
job() { # VERB ID REST..
    job_verb=$1 job_id=$2
    shift 2
    client "$job_verb" job="$job_id" uid=1000 partition=main "$@"
}
before=$(find "$AGENT_STATE" -name 'work-*' | wc -l)
like "a job without a lock begins" "$(job begin 1 locks=)" '^verdict 0 '
like "and starts at once" "$(job task 1 locks= -- echo in)" '^in$'
is "nothing was kept of it" "$(find "$AGENT_STATE" -name 'work-*' | wc -l)" "$before"

job begin 2 locks=b,a,b >/dev/null
like "several locks: each once, sorted by id" \
    "$(job task 2 locks=b,a,b -- true)" '^verdict 0 (a,b|b,a) token=[1-9]'
like "the same list in another order is the job's" \
    "$(job task 2 locks=a,b -- echo in)" '^in$'
like "no list: the job's" "$(job task 2 locks= -- echo in)" '^in$'
like "another list is refused" "$(job task 2 locks=a,c -- true)" \
    '^verdict 5 .*this job has lock .*whole list'
like "another user is refused" \
    "$(client task job=2 uid=1001 locks=a,b -- true)" '^verdict 5 .*another user'
like "a task that is no root's and not the job's is refused" \
    "$(client task job=2 uid=1000 as=1000 locks=a,b -- true)" '^verdict 3 '
like "nor may a user begin a job" "$(client begin job=9 as=1000)" '^verdict 3 '

job begin 3 locks=a >/dev/null
like "busy, fail" "$(job task 3 locks=a busy=2 -- true)" \
    '^verdict 1 .*lock "a" is held by job 2 .*since 20'
like "busy, a wait of 1.5 s" "$(job task 3 locks=a wait=1500 busy=1 -- true | tail -1)" \
    '^verdict 1 .*still held by job 2 .* after 1 s'
"$B/tests/agent/wire_client" /run/agent.sock task job=3 uid=1000 partition=main locks=a \
    wait=60000 -- "$T/ticks" "$T/3.ticks" >"$T/3.out" 2>&1 &
waiter=$!
waits() { grep -q '^note waiting for lock "a", held by job 2' "$T/3.out"; }
ok "a waiting task hears who holds the lock" wait_for 5 waits
kill -KILL $waiter
free_of_3() { ! client list | grep -q ' job 3 '; }
ok "its death ends the wait" wait_for 5 free_of_3
job task 3 locks=a wait=60000 -- "$T/ticks" "$T/3.ticks" >"$T/3.out" 2>&1 &
waits_again() { client list | grep -q '^item 1 a job 3 .*holder=job 2'; }
ok "list shows who waits for whom" wait_for 5 waits_again
job end 2 >/dev/null
ok "at the epilog the next one starts" wait_for 5 is_ticking "$T/3.ticks"

# The same job again, after a requeue, while its last run still writes.
job begin 3 restart=1 locks=a >/dev/null
job task 3 restart=1 locks=a wait=30000 -- "$T/ticks" "$T/31.ticks" >/dev/null 2>&1 &
ok "a requeued job gets its lock" wait_for 20 is_ticking "$T/31.ticks"
ok "when its last run is dead" \
    [ "$(last_tick "$T/3.ticks")" -lt "$(head -1 "$T/31.ticks")" ]
job end 3 restart=1 >/dev/null
ok "and its end ends that too" wait_for 10 is_free a

job begin 4 partition=io locks= >/dev/null
ok "a rule's lock is taken when the job comes" wait_for 5 is_held io
like "and its tasks know it" "$(job task 4 locks= -- true)" '^verdict 0 io '
job end 4 >/dev/null

job begin 5 name=nightly locks=singleton >/dev/null
like "singleton: of user and job name" "$(job task 5 locks=singleton -- true)" \
    '^verdict 0 singleton:1000:nightly: '
job end 5 >/dev/null
like "a lock that is not for jobs" "$(job task 6 locks=pamonly -- true)" \
    '^verdict 3 '
like "a name that is none" "$(job task 6 locks=a,, -- true)" '^verdict 5 '

like "a user's command: a lock opened to it" \
    "$(client command as=65534 locks=open -- echo in)" '^in$'
like "a user's command: any other lock" \
    "$(client command as=65534 locks=other -- echo in)" '^verdict 3 .*not opened'

agent_conf '"lifetime": 0'
like "reload: a wrong file is refused, with its place" "$(client reload)" \
    '^verdict 4 .*last good one stays.*conf.json:'
like "and the last good one stays" "$(client command locks=x -- echo in)" '^in$'
agent_conf '"lifetime": 10' '"adhoc": false'
like "reload: a good one is taken" "$(client reload)" '^verdict 0 '
like "and counts" "$(client command locks=x -- true)" '^verdict 3 '
like "not for users" "$(client reload)" '^verdict 0 '
agent_conf '"lifetime": 10'
client reload >/dev/null

# The guard dies while a job waits: its place and its request are kept.
job begin 7 locks=w >/dev/null
job task 7 locks=w -- true >/dev/null
job begin 8 locks=w >/dev/null
job task 8 locks=w wait=60000 -- true >/dev/null 2>&1 &
waits_8() { client list | grep -q '^item 1 w job 8 '; }
ok "a job waits" wait_for 5 waits_8
guard=$(agent_pid guard)
kill -KILL "$guard"
wait_for 5 agent_pid_is_not guard "$guard"
wait_for 5 agent_answers
job task 8 locks=w wait=60000 -- "$T/ticks" "$T/8.ticks" >/dev/null 2>&1 &
sleep 0.5
job end 7 >/dev/null
ok "guard killed meanwhile: it gets the lock" wait_for 10 is_ticking "$T/8.ticks"
job end 8 >/dev/null
ok "and gives it back" wait_for 10 is_free w

# A damaged record: kept aside; its work ends at its deadline, not before.
client command locks=r -- "$T/ticks" "$T/r.ticks" >/dev/null 2>&1 &
ok "a command runs" wait_for 5 is_ticking "$T/r.ticks"
deadline=$(($(now_ms) + $(left_of r)))
for f in "$AGENT_STATE"/work-*; do printf 'x' | dd of="$f" bs=1 seek=40 conv=notrunc 2>/dev/null; done
guard=$(agent_pid guard)
kill -KILL "$guard"
wait_for 5 agent_pid_is_not guard "$guard"
wait_for 5 agent_answers
ok "damaged record: put aside" [ -n "$(find "$AGENT_STATE" -name '*.damaged')" ]
ok "damaged record: the work still runs" is_ticking "$T/r.ticks"
stopped() { ! is_ticking "$T/r.ticks"; }
ok "damaged record: the work ends" wait_for 20 stopped
ok "damaged record: before its deadline" \
    [ "$(last_tick "$T/r.ticks")" -lt "$deadline" ]
like "damaged record: then the lock can be taken" \
    "$(client command locks=r wait=15000 -- echo in)" '^in$'
tap_done
