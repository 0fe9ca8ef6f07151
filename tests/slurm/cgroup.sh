#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Jobs in Slurm's own cgroups (proctrack/cgroup, version 2): the agent finds
# and kills their processes there, and puts them in none of its own. All of it
# happens in one folder of the machine's tree, which is the root of a cgroup
# namespace. Beside mounts of version 1 Slurm's plugin refuses to start, and
# is told of version 2 alone (tests/lib/only_v2.c); the rest is real.

# shellcheck disable=SC2016 # job scripts
set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/slurm-jobs.sh

if [ -z "${CGROUP_OUTER:-}" ]; then
    [ "$(id -u)" = 0 ] || slurm_skip_all "needs root"
    outer=$(slurm_cgroup "cgroup.$$")
    [ -n "$outer" ] || slurm_skip_all "no cgroup v2 is mounted"
    mkdir "$outer" "$outer/init" "$outer/system.slice" 2>/dev/null ||
        slurm_skip_all "no cgroup can be made"
    CGROUP_OUTER=$outer sh -c 'echo 0 >"$CGROUP_OUTER/cgroup.procs" &&
        exec unshare --cgroup /bin/sh "$@"' sh "$0" "$@" &
    inner=$!
    trap 'kill $inner' INT TERM HUP
    wait $inner
    inner_rc=$?
    wait_for 10 slurm_no_cgroup "$outer" || {
        echo "# $outer cannot be removed"
        inner_rc=1
    }
    exit $inner_rc
fi
top=$(pwd)
slurm_private "$0" "$@"

v2=$T/v2
mkdir "$v2"
mount -t cgroup2 cgroup2 "$v2" && echo 0 >"$v2/init/cgroup.procs" ||
    slurm_skip_all "cgroup v2 cannot be mounted in a namespace"
printf 'CgroupPlugin=cgroup/v2\nCgroupMountpoint=%s\nIgnoreSystemd=yes\n' \
    "$v2" >"$T/etc/cgroup.conf"
preload=
if [ "$(wc -l </proc/self/cgroup)" != 1 ]; then
    "${CC:-cc}" -shared -fPIC -O1 -o "$T/only_v2.so" \
        "$top/tests/lib/only_v2.c" ||
        slurm_skip_all "cgroup v1 is mounted too, and there is no compiler"
    preload=$T/only_v2.so
fi
slurmd_start() { on "$1" env LD_PRELOAD="$preload" slurmd -N "$1"; }
slurm_jobs() { find "$v2" -name 'job_*'; }
drop_slurm_jobs() {
    find "$v2" -depth -path '*/job_*' -type d -exec rmdir {} +
}
rest_cgroups() { find "$v2" -name 'job[-_]*'; }

PLUGSTACK_ARGS=
PROCTRACK=cgroup
SITE_LIFETIME=12
site_start '"slurm": { "cluster": "private" },
  "locks": { "rr": { "lifetime": 60, "grace": "12s" } }' || exit 1

# ---- whose cgroups ---------------------------------------------------------
a=$(sub alice -w n1 --lock=cg --wrap \
    "grep ^0:: /proc/self/cgroup; ./ticks cg 100000")
wait_for 10 works cg "$a"
b=$(sub bob -w n2 --lock=cg --wrap "./ticks cg 20")
wait_for 10 says "$b" 'held by job'
like "the job is in Slurm's cgroup" "$(out "$a")" \
    "^0::/system.slice/.*/job_$a/step_batch/user/"
is "and the agent made none" "$(find "$v2" -name 'job-*')" ""
like "the agent lists its processes" "$(say_on n1 list)" \
    "cg  job $a .* [2-9] processes"
scancel "$a"
wait_done 20 "$a" "$b"
is "cancel: the next runs" "$(job_state "$b")" COMPLETED
at_rest cancel

# ---- the lease is lost -----------------------------------------------------
a=$(sub alice -N2 -n4 --no-requeue --lock=lo --wrap \
    'trap "" TERM
     srun -n4 sh -c "setsid ./ticks lo 100000 & ./ticks lo 100000"')
z=$(sub bob -w n1 --no-requeue --lock=frozen --wrap "./ticks frozen 100000")
wait_for 10 works lo "$a" && wait_for 10 works frozen "$z"
b=$(sub bob -w n2 --lock=lo --wrap "./ticks lo 20")
wait_for 10 says "$b" 'held by job'
scontrol suspend "$z"
wait_job 10 "$z" SUSPENDED
kill -STOP "$(server_pid)"
cut=$(date +%s%N)
ticks_are() { # COUNT
    [ "$({ on n1 pgrep -x ticks && on n2 pgrep -x ticks; } | wc -l)" = "$1" ]
}
ok "lost: eight processes on two nodes, one frozen" wait_for 5 ticks_are 9
ok "lost: all die" wait_for 20 ticks_are 0
ok "lost: before the lease ends" \
    [ "$(last_tick lo "$a")" -lt $((cut + SITE_LIFETIME * 1000000000)) ]
kill -CONT "$(server_pid)"
scontrol resume "$z" 2>/dev/null
wait_done 30 "$a" "$b" "$z"
is "lost: the job failed, the next ran" \
    "$(job_state "$a") $(job_state "$b")" "FAILED COMPLETED"
at_rest lost

# ---- slurmstepd dies -------------------------------------------------------
a=$(sub alice -w n1 --no-requeue --lock=sd --wrap \
    "setsid ./ticks sd 100000 & ./ticks sd 100000")
wait_for 10 works sd "$a"
b=$(sub bob -w n2 --lock=sd --wrap "./ticks sd 20")
wait_for 10 says "$b" 'held by job'
kill_stepd n1 "$a"
ok "stepd dies: the processes work on" works_on sd "$a"
agent_kill n1
agent_start n1
ok "agent dies too: they work on, and have the lock" works_on sd "$a"
ok "agent dies too: at the server as well" queue_is sd held 1
scancel "$a"
wait_done 30 "$a" "$b"
is "stepd dies: the next has the lock when they are dead" \
    "$(worked sd | tr '\n' ' ')$(job_state "$b")" "$a $b COMPLETED"
# Slurm leaves the folders of a step without slurmstepd behind.
drop_slurm_jobs
at_rest "stepd dies" 40

# ---- a new run in the folder of the old ------------------------------------
a=$(sub alice -w n1 --requeue --lock=rr --wrap \
    'run=${SLURM_RESTART_COUNT:-0} n=100
     [ $run != 0 ] || { trap "" TERM; n=100000; } # alive when the new one asks
     SLURM_JOB_ID=$SLURM_JOB_ID-$run ./ticks rr $n')
wait_for 10 works rr "$a-0"
on n1 kill -KILL "$(slurmd_pid n1)" "$(stepd_of n1 "$a")"
wait_for 10 slurmd_is_gone n1
scontrol update NodeName=n1 State=DOWN Reason=test
ok "new run: the job is requeued" wait_for 20 job_ran_again "$a"
slurmd_start n1
scontrol update NodeName=n1 State=RESUME 2>/dev/null # ReturnToService
ok "new run: the old works until then" works_on rr "$a-0"
ok "new run: the new waits for it" wait_for 20 says "$a" 'held by job'
wait_done 40 "$a"
is "new run: one after the other" \
    "$(worked rr | tr '\n' ' ')$(job_state "$a")" "$a-0 $a-1 COMPLETED"
is "new run: whole" "$(grep -c "^rr $a-1" "$T/work/log")" 100
drop_slurm_jobs
at_rest "new run" 40

# ---- no folder between two steps -------------------------------------------
cat >gap.sh <<'END'
#!/bin/sh
srun ./ticks gp 5 G
: >gap.1
while [ ! -e gap.2 ]; do sleep 0.1; done
srun ./ticks gp 5 G
END
chmod 755 gap.sh
as alice timeout 60 salloc -w n1 --lock=gp ./gap.sh >o.gap 2>&1 &
salloc=$!
wait_for 20 test -e gap.1
no_folder() { [ -z "$(slurm_jobs)" ]; }
ok "gap: Slurm took the folder of the job away" wait_for 10 no_folder
b=$(sub bob -w n1 --lock=gp --wrap './ticks gp 5')
ok "gap: another job waits" wait_for 10 says "$b" 'held by job'
: >gap.2
wait $salloc
is "gap: the second step works" "$? $(grep -c '\.G ' "$T/work/log")" "0 10"
wait_done 20 "$b"
at_rest gap
tap_done
