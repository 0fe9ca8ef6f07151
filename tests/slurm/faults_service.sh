#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The lock service goes away under Slurm: before a job starts (refused,
# requeued so often, or let go on, as configured) and while it works. Its
# processes are dead before the lease ends, whether slurmctld lives or not;
# what on_lost says otherwise is done and no more.

# shellcheck disable=SC2016 # job scripts
set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/slurm-jobs.sh
slurm_private "$0" "$@"

PLUGSTACK_ARGS=
SITE_LIFETIME=12
site_start '"slurm": { "cluster": "private", "requeue_max": 1 },
  "locks": { "opened": { "on_unreachable": "open" },
    "logged": { "on_lost": "log" }, "told": { "on_lost": "signal:USR1" } }' ||
    exit 1
lease_ends() { echo $((cut + SITE_LIFETIME * 1000000000)); }
cut_server() {
    kill -STOP "$(server_pid)"
    cut=$(date +%s%N)
}
no_work() { # LOCK JOB: nothing of it has worked for half a second
    now=$(date +%s%N)
    [ "$(last_tick "$1" "$2")" -lt $((now - 500000000)) ]
}

# ---- the service is away at the start --------------------------------------
server_stop
r=$(sub alice -w n1 --lock=away --wrap "./ticks away 20")
f=$(sub bob -w n1 --no-requeue --lock=away --wrap "./ticks away 20")
o=$(sub bob -w n2 --lock=opened --wrap \
    "env | grep ^JUSTALOCK; ./ticks opened 20")
wait_done 30 "$o"
is "open: the job runs" "$(job_state "$o") $(worked opened)" "COMPLETED $o"
like "open: and is told so" "$(out "$o")" '^justalock: .*without.*opened'
is "open: it sees no lock" \
    "$(out "$o" | grep -cE '^JUSTALOCK_(LOCK|TOKEN|ID)=.')" 0
wait_done 30 "$f"
is "closed, --no-requeue: refused" \
    "$(job_state "$f") $(job_field "$f" ExitCode)" "FAILED 75:0"
like "closed: with a sentence" "$(out "$f")" \
    '^justalock: .*away.*127.0.0.1:7171'
ok "closed: requeued" wait_for 20 job_ran_again "$r"
like "closed: and told so" "$(out "$r")" '^justalock: .*requeue'
wait_done 40 "$r"
is "closed: refused when it was requeued so often (requeue_max)" \
    "$(job_state "$r") $(job_field "$r" Restarts) $(job_field "$r" ExitCode)" \
    "FAILED 1 75:0"
is "closed: nothing ran" "$(worked away)" ""
server_start
at_rest "away at the start"

# ---- busy, and requeued once already ----------------------------------------
a=$(sub alice -w n1 --lock=often --wrap "./ticks often 100000")
wait_for 10 works often "$a"
b=$(sub bob -w n2 --lock=often --lock-on-busy=requeue --wrap \
    "./ticks often 20")
wait_done 40 "$b"
is "busy: refused when it was requeued so often (requeue_max)" \
    "$(job_state "$b") $(job_field "$b" Restarts) $(job_field "$b" ExitCode)" \
    "FAILED 1 75:0"
is "busy: requeued, then refused, in its output" \
    "$(out "$b" | grep -c 'asking Slurm to requeue the job') $(out "$b" | tail -n 1 |
        cut -c 1-36)" "1 justalock: the job was not started; "
scancel "$a"
wait_done 20 "$a"
is "busy: it never ran" "$(worked often)" "$a"
at_rest "requeued often"

# ---- it stays away: the lease ends -----------------------------------------
k=$(sub alice -w n1 --no-requeue --lock=kept --wrap \
    'trap "" TERM; setsid ./ticks kept 100000 & ./ticks kept 100000')
l=$(sub alice -w n1 --no-requeue --lock=logged --wrap \
    './ticks logged 100000')
s=$(sub alice -w n2 --no-requeue --lock=told --wrap \
    'trap "echo got USR1" USR1; (trap "" USR1; exec ./ticks told 100000) &
     wait; wait')
wait_for 10 works kept "$k" && wait_for 10 works logged "$l" &&
    wait_for 10 works told "$s"
n=$(sub bob -w n2 --lock=kept --wrap "./ticks kept 20")
wait_for 10 says "$n" 'held by job'
cut_server
ok "lost: the work dies" wait_for 20 no_work kept "$k"
ok "lost: before the lease ends" \
    [ "$(last_tick kept "$k")" -lt "$(lease_ends)" ]
wait_done 20 "$k"
is "lost: the job failed" "$(job_state "$k")" FAILED
ok "signal: the job gets it" wait_for 20 says "$s" 'got USR1'
ok "signal: and works on" works_on told "$s"
ok "log: the job works on" works_on logged "$l"
kill -CONT "$(server_pid)"
wait_done 30 "$n"
is "lost: the next had it afterwards" "$(worked kept | tr '\n' ' ')" "$k $n "
scancel "$l" "$s"
wait_done 20 "$l" "$s"
at_rest lost

# ---- it is killed and started anew ------------------------------------------
k=$(sub alice -w n1 --no-requeue --lock=again --wrap "./ticks again 100000")
wait_for 10 works again "$k"
n=$(sub bob -w n2 --lock=again --wrap "./ticks again 20")
wait_for 10 says "$n" 'held by job'
server_stop
server_start
ok "server anew: the holder has its lock, the other is in line" \
    wait_for 10 queue_is again held 1
ok "server anew: the holder works on" works_on again "$k"
scancel "$k"
wait_done 20 "$k" "$n"
is "server anew: the other is next" \
    "$(worked again | tr '\n' ' ')$(job_state "$n")" "$k $n COMPLETED"
at_rest "server anew"

# ---- slurmctld is dead as well ---------------------------------------------
k=$(sub alice -w n1 -N1 -n2 --no-requeue --lock=dead --wrap \
    'trap "" TERM
     srun -n2 sh -c "setsid ./ticks dead 100000 & ./ticks dead 100000"')
wait_for 10 works dead "$k"
n=$(sub bob -w n2 --lock=dead --wrap "./ticks dead 20")
wait_for 10 says "$n" 'held by job'
# Not before slurmctld has written down that both run.
scontrol update JobId="$n" Comment="saved.$n"
saved() { grep -aq "saved\.$n" "$T/ctl/state/job_state"; }
wait_for 20 saved
kill -KILL "$(ctl_pid)"
cut_server
ok "no slurmctld: the work dies" wait_for 20 no_work dead "$k"
ok "no slurmctld: before the lease ends" \
    [ "$(last_tick dead "$k")" -lt "$(lease_ends)" ]
kill -CONT "$(server_pid)"
ok "no slurmctld: the next works" wait_for 20 works dead "$n"
ctl_start
wait_done 40 "$k" "$n"
is "no slurmctld: the one failed, the other is done" \
    "$(job_state "$k") $(job_state "$n")" "FAILED COMPLETED"
at_rest "no slurmctld" 40
tap_done
