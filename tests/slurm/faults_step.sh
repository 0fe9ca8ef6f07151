#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What happens to a job on its node: slurmstepd dies while it waits and while
# its processes work, processes outlive it in sessions of their own, it is
# suspended, it is requeued while its last run works on. The lock stays until
# the last process is dead, and goes on to the next then.

# shellcheck disable=SC2016 # job scripts
set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/slurm-jobs.sh
slurm_private "$0" "$@"

PLUGSTACK_ARGS=
site_start '"slurm": { "cluster": "private" }' || exit 1

# ---- slurmstepd dies while its job waits -----------------------------------
a=$(sub alice -w n1 --lock=sw --wrap "./ticks sw 100000")
wait_for 10 works sw "$a"
b=$(sub bob -w n2 --no-requeue --lock=sw --wrap "echo ran")
wait_for 10 says "$b" 'held by job'
c=$(sub alice -w n2 --lock=sw --wrap "./ticks sw 20")
wait_for 10 says "$c" 'held by job'
ok "stepd dies, waiting: both stand in line" wait_for 10 queue_is sw held 2
is "stepd dies, waiting: each by a connection" "$(connections)" 2
kill_stepd n2 "$b"
one_waits() { [ "$(on n2 pgrep -x justalock | wc -l)" = 1 ]; }
ok "stepd dies, waiting: its task ends" wait_for 10 one_waits
ok "stepd dies, waiting: its place in line goes" wait_for 20 queue_is sw held 1
scancel "$a"
wait_done 20 "$a" "$c"
is "stepd dies, waiting: the next in line works" \
    "$(worked sw | tr '\n' ' ')$(job_state "$c")" "$a $c COMPLETED"
scancel "$b"
wait_done 20 "$b"
is "stepd dies, waiting: its script never ran" "$(out "$b" | grep -c ran)" 0
at_rest "stepd dies, waiting" 40

# ---- slurmstepd dies, the work does not ------------------------------------
a=$(sub alice -w n1 --no-requeue --lock=sh --wrap \
    "setsid ./ticks sh 100000 & ./ticks sh 100000")
wait_for 10 works sh "$a"
b=$(sub bob -w n2 --lock=sh --wrap "./ticks sh 20")
wait_for 10 says "$b" 'held by job'
kill_stepd n1 "$a"
ok "stepd dies, working: the processes work on" works_on sh "$a"
ok "stepd dies, working: and have the lock" queue_is sh held 1
scancel "$a"
wait_done 30 "$a" "$b"
is "stepd dies, working: the next has it when they are dead" \
    "$(worked sh | tr '\n' ' ')$(job_state "$b")" "$a $b COMPLETED"
at_rest "stepd dies, working" 40

# ---- a normal end, and processes that stay ---------------------------------
a=$(sub alice -w n1 -n4 --lock=st --wrap \
    'srun sh -c "setsid ./ticks st 100000 >/dev/null 2>&1 & echo \$! >>st.pids"
     ./ticks st 5; kill -0 $(cat st.pids) && echo all work')
wait_for 10 works st "$a"
b=$(sub bob -w n2 --lock=st --wrap "./ticks st 20")
wait_done 30 "$a" "$b"
is "left processes: the job ends, the next runs" \
    "$(worked st | tr '\n' ' ')$(job_state "$a") $(job_state "$b")" \
    "$a $b COMPLETED COMPLETED"
is "left processes: all four were there at its end" "$(out "$a")" "all work"
at_rest "left processes"

# ---- suspend ---------------------------------------------------------------
a=$(sub alice -w n1 --lock=su --wrap "./ticks su 100000")
wait_for 10 works su "$a"
scontrol suspend "$a"
ok "suspend: the holder is" wait_job 10 "$a" SUSPENDED
b=$(sub bob -w n2 --lock=su --lock-wait=12s --wrap "./ticks su 20")
wait_done 30 "$b" # longer than the lease
is "suspend: it keeps its lock past the lease" \
    "$(job_state "$b") $(worked su | tr '\n' ' ')" "FAILED $a "
like "suspend: who waited is told for whom" "$(out "$b")" \
    "lock .su. is still held by job $a .* after 12 s"
scontrol resume "$a"
ok "suspend: resumed, it works on" works_on su "$a"
scancel "$a"
wait_done 20 "$a"
at_rest suspend

# ---- requeue, the last run still working -----------------------------------
# The run is the second column: two runs of one job are two holders.
a=$(sub alice --requeue --lock=rq --wrap \
    'run=${SLURM_RESTART_COUNT:-0}; [ $run = 0 ] && n=100000 || n=20
     SLURM_JOB_ID=$SLURM_JOB_ID-$run ./ticks rq $n')
wait_for 10 works rq "$a-0"
slurmd_stop n1
scontrol update NodeName=n1 State=DOWN Reason=test
ok "requeue: the job is" wait_for 20 job_ran_again "$a"
ok "requeue: the new run waits for the old" wait_for 30 says "$a" \
    "lock .rq., held by job $a "
ok "requeue: which works on" works_on rq "$a-0"
slurmd_start n1
scontrol update NodeName=n1 State=RESUME 2>/dev/null # ReturnToService
wait_done 30 "$a"
is "requeue: one run after the other" \
    "$(worked rq | tr '\n' ' ')$(job_state "$a")" "$a-0 $a-1 COMPLETED"
at_rest requeue 40
tap_done
