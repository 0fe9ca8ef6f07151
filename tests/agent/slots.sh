#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Pools through the agent: each job and command has its slot, told to it before
# its verdict, and keeps it when guard and keeper are killed; a third waits.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
J=$B/bin/justalock
agent_conf '"lifetime": 20' '"locks": {"pool": {"slots": 2}, "alone": {}}'
service_start
agent_start
job() { # VERB ID REST..
    job_verb=$1 job_id=$2
    shift 2
    client "$job_verb" job="$job_id" uid=1000 partition=main "$@"
}
slot_of() { job task "$1" locks="${2:-pool}" -- true | sed -n 's/^note JUSTALOCK_SLOT=//p'; }
holders() { "$J" status --json --config "$T/conf.json" pool | jq -c '[.holders[] | [.slot, .token]]'; }

# ---- in ------------------------------------------------------------------------
for n in 1 2 3; do job begin $n locks=pool >/dev/null; done
is "the first job's slot" "$(slot_of 1)" 0
is "the second one's" "$(slot_of 2)" 1
is "another task of the first: the same" "$(slot_of 1)" 0
like "a third is refused while they run" "$(job task 3 locks=pool busy=2 -- true)" \
    '^verdict 1 .*lock "pool" is held by job 1 '
job begin 4 locks=alone,pool >/dev/null
job begin 5 locks=alone >/dev/null
is "what is no pool has no slot" "$(slot_of 5 alone)" ""
job end 5 >/dev/null
before=$(holders)
is "two are in" "$(echo "$before" | jq -c '[.[][0]]')" "[0,1]"
is "the list says in which slots, and with which tokens" \
    "$("$J" list --json --socket /run/agent.sock | jq -sc '[.[] | [.slot, .token]]')" "$before"
like "and so for a reader" "$("$J" list --socket /run/agent.sock | sed -n 1p)" \
    '^held +pool .*, slot 0, sure for [0-9]+ s, token [0-9]+, '

# ---- killed --------------------------------------------------------------------
back() { # PART PID: a new one, and the agent answers
    agent_pid_is_not "$1" "$2" && agent_answers
}
for part in guard keeper; do
    pid=$(agent_pid $part)
    kill -KILL "$pid"
    ok "$part killed: a new one comes" wait_for 15 back $part "$pid"
    is "$part killed: each is in its slot" "$(slot_of 1),$(slot_of 2)" "0,1"
    is "$part killed: no new holding" "$(holders)" "$before"
done
guard=$(agent_pid guard) keeper=$(agent_pid keeper)
kill -KILL "$guard" "$keeper"
ok "both killed: new ones come" wait_for 15 back guard "$guard"
ok "both killed: the keeper too" wait_for 15 back keeper "$keeper"
is "both killed: each is in its slot" "$(slot_of 1),$(slot_of 2)" "0,1"
# Longer than a refresh: the new keeper knows where they are.
extended() { [ "$(left_of pool)" -gt "$1" ]; }
ok "both killed: they are refreshed" wait_for 15 extended 18000
is "both killed: no new holding" "$(holders)" "$before"

# ---- the next -------------------------------------------------------------------
job task 4 locks=alone,pool wait=60000 -- sleep 60 >"$T/4" 2>&1 &
waits() { grep -q '^note waiting for lock "pool"' "$T/4"; }
ok "a job with two locks waits for the pool" wait_for 10 waits
job end 1 >/dev/null
told() { grep -q '^note JUSTALOCK_SLOT=' "$T/4"; }
ok "it gets the slot that is free" wait_for 10 told
like "one word for each lock" "$(sed -n 's/^note JUSTALOCK_SLOT=//p' "$T/4")" '^(-,0|0,-)$'
job end 4 >/dev/null
job end 2 >/dev/null
job end 3 >/dev/null
ok "and all are given back" wait_for 20 is_free pool

# ---- commands -------------------------------------------------------------------
run() { "$J" run --socket /run/agent.sock "$@"; }
is "a command's slot" "$(run pool sh -c 'echo $JUSTALOCK_SLOT')" 0
is "none where there is no pool" "$(JUSTALOCK_SLOT=3 run alone sh -c 'echo ${JUSTALOCK_SLOT-none}')" none
"$J" run --socket /run/agent.sock pool sleep 60 &
one=$!
wait_for 10 is_held pool
is "the second one's" "$(run pool sh -c 'echo $JUSTALOCK_SLOT')" 1
kill $one
wait $one

# ---- a service that knows no pools ------------------------------------------------
ok "free again" wait_for 20 is_free pool
service_stop
rm -f "$T/srv.sock"
tests/lib/base_service "$T/srv.sock" "$T/base.log" &
base=$!
wait_for 10 test -S "$T/srv.sock" && chmod 666 "$T/srv.sock"
job begin 11 locks=pool >/dev/null
job begin 12 locks=pool >/dev/null
a=$(slot_of 11) b=$(slot_of 12)
is "base: two slots" "$(printf '%s\n' "$a" "$b" | sort | xargs)" "0 1"
keeper=$(agent_pid keeper)
kill -KILL "$keeper"
ok "base: the keeper is killed" wait_for 15 back keeper "$keeper"
refused_before=$(grep -c ' 409$' "$T/base.log")
ok "base: they are refreshed where they are" wait_for 15 extended 17000
is "base: with no refusal" "$(grep -c ' 409$' "$T/base.log")" "$refused_before"
is "base: each is in its slot" "$(slot_of 11),$(slot_of 12)" "$a,$b"
kill $base
tap_done
