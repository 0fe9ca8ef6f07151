#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Rubbish at the agent's socket, from root and from a user: it answers as
# before, by the same processes, and what was held is held.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

# An agent that is down does not answer: nothing here waits for ever.
client() { timeout "${patience:-20}" "$B/tests/agent/wire_client" /run/agent.sock "$@"; }
seed=${RUBBISH_SEED:-$(date +%j)}
seconds=${RUBBISH_SECONDS:-4}
service_start
agent_start
"$B/tests/agent/wire_client" /run/agent.sock command locks=kept life=30 -- \
    sleep 600 >"$T/kept.out" 2>&1 &
ok "a command gets its lock" wait_for 10 is_held kept
for part in watch guard keeper; do
    eval "before_$part=$(agent_pid $part)"
done
for uid in 1000 0; do
    "$B/tests/agent/rubbish" /run/agent.sock "$seconds" "$seed" $uid \
        tests/fuzz/corpus/wire/* >"$T/rubbish.$uid" &
done
wait_for $((seconds + 30)) test -s "$T/rubbish.1000"
wait_for $((seconds + 30)) test -s "$T/rubbish.0"
like "seed $seed: a user's $(cat "$T/rubbish.1000")" \
    "$(cat "$T/rubbish.1000")" '^[1-9][0-9]* '
like "seed $seed: root's $(cat "$T/rubbish.0")" \
    "$(cat "$T/rubbish.0")" '^[1-9][0-9]* '
patience=1
ok "the agent answers" wait_for 2 agent_answers
patience=20
for part in watch guard keeper; do
    eval "before=\$before_$part"
    # shellcheck disable=SC2154
    is "$part: is the same process" "$(agent_pid $part)" "$before"
done
ok "the command's lock is held" is_held kept
like "a lock can be taken" "$(client command locks=new -- echo in)" '^in$'

# ---- a user who opens as many connections as there may be, and asks for nothing
cat >"$T/crowd" <<'END'
import os, socket, sys, time
os.setgroups([])
os.setgid(1000)
os.setuid(1000)
own = []
while len(own) < 700:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect('/run/agent.sock')
    own.append(s)
open(sys.argv[1], 'w').close()
time.sleep(600)
END
mkdir -m 777 "$T/crowds"
as_user() { setpriv --reuid="$1" --regid="$1" --clear-groups "$B/tests/agent/wire_client" /run/agent.sock ping >/dev/null 2>&1; }
crowds=
for n in 1 2; do
    python3 "$T/crowd" "$T/crowds/$n" &
    crowds="$crowds $!"
done
for n in 1 2; do
    ok "700 connections of one user" wait_for 20 test -e "$T/crowds/$n"
done
ok "it gets no more" eval '! as_user 1000'
ok "another user does" as_user 1001
ok "and root" agent_answers
ok "said in the log" grep -q 'connections are dropped: user 1000 has 1024' "$T/agent.log"
ok "who asks for nothing is closed after a while" wait_for 20 as_user 1000
# shellcheck disable=SC2086
kill $crowds
is "the lock is still held" "$(is_held kept && echo yes)" yes
tap_done
