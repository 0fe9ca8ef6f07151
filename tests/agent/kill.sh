#!/bin/sh
# SPDX-License-Identifier: MIT
#
# All of the work dies, whatever it does to live: children that leave the
# session, that are deaf to TERM, that fork on; at the end of the lease, when
# who ran the command is killed, and at the epilog. Nothing else is touched.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

service_start
agent_start
ticks
cat >"$T/hydra" <<END
#!/bin/sh
# Three that are hard to catch, and one that forks without end.
setsid $T/ticks $T/\$1.setsid &
$T/ticks $T/\$1.deaf deaf &
(setsid sh -c 'while :; do (echo \$(date +%s%3N) >>$T/'\$1'.storm; sleep 0.1) & sleep 0.1; done') &
exec $T/ticks $T/\$1.main
END
chmod 755 "$T/hydra"
all_tick() {
    for f in setsid deaf storm main; do is_ticking "$T/$1.$f" || return 1; done
}
none_ticks() {
    for f in setsid deaf storm main; do ! is_ticking "$T/$1.$f" || return 1; done
}
last_of() { for f in setsid deaf storm main; do last_tick "$T/$1.$f"; done | sort -n | tail -1; }

# A bystander of the same name and parent, outside of any work.
"$T/ticks" "$T/bystander" &

"$B/tests/agent/wire_client" /run/agent.sock command locks=a -- \
    "$T/hydra" a >"$T/a.out" 2>&1 &
owner=$!
ok "a command with hard children runs" wait_for 8 all_tick a
kill -KILL $owner
ok "its owner is killed: all of it ends" wait_for 10 none_ticks a
ok "and then the lock is free" wait_for 10 is_free a
wait $owner 2>/dev/null

# The same while there is no guard.
"$B/tests/agent/wire_client" /run/agent.sock command locks=g -- \
    "$T/hydra" g >"$T/g.out" 2>&1 &
owner=$!
ok "another such command runs" wait_for 8 all_tick g
watch=$(agent_pid watch) guard=$(agent_pid guard)
kill -STOP "$watch"
kill -KILL "$guard" $owner
kill -CONT "$watch"
ok "its owner is killed when there is no guard: all of it ends" wait_for 10 none_ticks g
ok "and then the lock is free" wait_for 10 is_free g
wait $owner 2>/dev/null

client begin job=4 uid=1000 locks=b >/dev/null
client task job=4 uid=1000 locks=b -- "$T/hydra" b >/dev/null 2>&1 &
ok "a job with hard children runs" wait_for 8 all_tick b
client end job=4 uid=1000 >/dev/null
ok "the epilog: all of it ends" wait_for 10 none_ticks b
ok "and then the lock is free" wait_for 10 is_free b

client begin job=5 uid=1000 locks=c >/dev/null
client task job=5 uid=1000 locks=c -- "$T/hydra" c >/dev/null 2>&1 &
ok "another such job runs" wait_for 8 all_tick c
deadline=$(($(now_ms) + $(left_of c)))
service_cut
ok "service cut: all of it ends" wait_for 15 none_ticks c
ok "service cut: before the deadline ($((deadline - $(last_of c))) ms)" \
    [ "$(last_of c)" -lt "$deadline" ]
like "while it is lost, a task is refused" \
    "$(client task job=5 uid=1000 locks=c -- true)" \
    '^verdict [1-8] .*(lost|releas|over)'
service_back
ok "the bystander was left alone" is_ticking "$T/bystander"

client command locks=d lost=3 -- "$T/ticks" "$T/d.ticks" >"$T/d.out" 2>&1 &
ok "a command that only wants to be told runs" wait_for 15 is_ticking "$T/d.ticks"
service_cut
told() { grep -q '^lost lock "d"' "$T/d.out"; }
ok "it is told of the loss" wait_for 15 told
ok "and left running" is_ticking "$T/d.ticks"
service_back
tap_done
