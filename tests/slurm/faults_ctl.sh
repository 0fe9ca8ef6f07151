#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What comes from slurmctld and from the agent: a job that waits is ended by
# its time limit, gets the signal it asked for, is cancelled by the dozen; an
# agent that is away or stopped is found by the health check, and jobs neither
# hang nor drain the node; a job's end without its epilog; salloc with the
# interactive step.

# shellcheck disable=SC2016 # job scripts
set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/slurm-jobs.sh
health=$(pwd)/config/healthcheck.sh
slurm_private "$0" "$@"

cp "$health" "$T/etc/healthcheck.sh"
cat >"$T/etc/health" <<END
#!/bin/sh
[ -e $T/up ] || exit 0 # the agents come after slurmd here
export PATH=$PATH SLURM_CONF=$SLURM_CONF JUSTALOCK=$B/bin/justalock PAUSE=0.1
exec $T/etc/healthcheck.sh
END
chmod 755 "$T/etc/health" "$T/etc/healthcheck.sh"
PLUGSTACK_ARGS="timeout=2s"
SLURM_EXTRA="HealthCheckProgram=$T/etc/health
HealthCheckInterval=2
HealthCheckNodeState=ANY
LaunchParameters=use_interactive_step"
SITE_LIFETIME=20
site_start '"slurm": { "cluster": "private" }' || exit 1
: >"$T/up"

# ---- time limit and --signal, while waiting ---------------------------------
# slurmctld looks every 30 s: they go on beside what follows, on n2.
t=$(sub alice -w n2 --lock=limit --wrap "./ticks limit 100000")
wait_for 10 works limit "$t"
u=$(sub bob -w n2 --lock=limit --time=10 --signal=B:USR1@600 --wrap "echo ran")
v=$(sub bob -w n2 --lock=limit --time=10 --wrap "echo ran")
wait_for 10 says "$u" 'held by job' && wait_for 10 says "$v" 'held by job'
scontrol update JobId="$v" TimeLimit=0

# ---- the agent is away ------------------------------------------------------
node_is() { # NODE STATE-PATTERN REASON
    sinfo -h -N -p main -n "$1" -o '%T %E' | grep -Eq "^($2) $3"
}
agent_stop n1
j=$(sub alice -w n1 --no-requeue --lock=gone --wrap "echo ran")
wait_done 20 "$j"
is "no agent: the job is refused" \
    "$(job_state "$j") $(job_field "$j" ExitCode) $(out "$j" | grep -c ran)" \
    "FAILED 75:0 0"
ok "no agent: the health check drains the node, and says why" wait_for 20 \
    node_is n1 'drain.*' 'justalock-agent does not answer'
agent_start n1
ok "no agent: and resumes it when the agent is back" wait_for 20 \
    node_is n1 idle none

# ---- the agent is stopped, nobody can connect any more ----------------------
a=$(sub alice -w n1 --lock=stop --wrap "./ticks stop 100000")
wait_for 10 works stop "$a"
guard=$(agent_pid n1 guard)
on n1 kill -STOP "$guard"
cat >"$T/work/fill.py" <<'END'
import socket, time
held = []
try:
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.setblocking(False)
        s.connect("/run/justalock/agent.sock")
        held.append(s)
except BlockingIOError:
    print(len(held), flush=True)
time.sleep(600)
END
leave_on n1 python3 "$T/work/fill.py" >"$T/filled" 2>&1
wait_for 10 test -s "$T/filled"
j=$(sub bob -w n1 --no-requeue --lock=stop --wrap "echo ran")
k=$(sub bob -w n1 --wrap "echo ran without")
wait_done 20 "$j" "$k"
is "agent stopped, $(cat "$T/filled") connections: the job is refused" \
    "$(job_state "$j") $(job_field "$j" ExitCode) $(out "$j" | grep -c ran)" \
    "FAILED 75:0 0"
like "agent stopped: with a sentence" "$(out "$j")" \
    '^justalock: n1: not started without lock stop'
is "agent stopped: a job without a lock runs" \
    "$(job_state "$k") $(out "$k")" "COMPLETED ran without"
on n1 pkill -KILL -f fill.py
on n1 kill -CONT "$guard"
ok "agent stopped: the holder works on" works_on stop "$a"
ok "agent stopped: and has its lock" queue_is stop held 0
scancel "$a"
wait_done 20 "$a"
ok "agent stopped: the node is in service" wait_for 30 node_is n1 idle none

# ---- many are cancelled while they wait -------------------------------------
a=$(sub alice -w n1 --lock=many --wrap "./ticks many 100000")
wait_for 10 works many "$a"
many=
for i in n1 n2 n1 n2 n1 n2; do
    many="$many $(sub bob -w $i --lock=many --wrap "./ticks many 100000")"
done
ok "cancelled: six stand in line" wait_for 20 queue_is many held 6
# shellcheck disable=SC2086
scancel $many
ok "cancelled: none does" wait_for 10 queue_is many held 0
scancel "$a"
# shellcheck disable=SC2086
wait_done 20 "$a" $many
is "cancelled: none of them ran" "$(worked many)" "$a"

# ---- no epilog: slurmd and slurmstepd are dead when the job ends ------------
a=$(sub alice -w n1 --no-requeue --lock=ne --wrap \
    "setsid ./ticks ne 100000 & ./ticks ne 100000")
wait_for 10 works ne "$a"
b=$(sub bob -w n2 --lock=ne --wrap "./ticks ne 20")
wait_for 10 says "$b" 'held by job'
on n1 kill -KILL "$(slurmd_pid n1)" "$(stepd_of n1 "$a")"
wait_for 10 slurmd_is_gone n1
scancel "$a"
ok "no epilog: the processes work on" works_on ne "$a"
ok "no epilog: with their lock" queue_is ne held 1
slurmd_start n1
wait_done 40 "$a" "$b"
is "no epilog: slurmd is back, the next runs" \
    "$(worked ne | tr '\n' ' ')$(job_state "$b")" "$a $b COMPLETED"

# ---- salloc with the interactive step ---------------------------------------
cat >inter.sh <<'END'
srun ./ticks inter 5 G
: >inter.1
while [ ! -e inter.2 ]; do sleep 0.1; done
srun ./ticks inter 5 G
END
# salloc wants a terminal for its shell, and all it is told is to run inter.sh.
echo 'exec sh ./inter.sh' | as alice env SHELL=/bin/sh timeout 90 script -qec \
    'salloc -w n1 --lock=inter' /dev/null >o.inter 2>&1 &
salloc=$!
ok "interactive: its first step works" wait_for 30 test -e inter.1
b=$(sub bob -w n2 --lock=inter --wrap './ticks inter 5')
ok "interactive: another waits" wait_for 10 says "$b" 'held by job'
: >inter.2
wait $salloc
rc=$?
is "interactive: salloc ends well" "$rc" 0
[ $rc = 0 ] || sed 's/^/# /' o.inter
wait_done 20 "$b"
is "interactive: both steps worked, then the other" \
    "$(grep -c '^inter .*\.G ' "$T/work/log") $(worked inter | wc -l)" "10 2"

# ---- what became of time limit and --signal ---------------------------------
signalled() {
    grep -q "job_signal: 10 of running JobId=$u " "$T/log/slurmctld.log"
}
ok "--signal: slurmctld sends it" wait_for 40 signalled
ok "time limit: ends a job that waits" wait_job 40 "$v" TIMEOUT
is "time limit: it never ran" "$(out "$v" | grep -c ran)" 0
ok "--signal: the job waits on" queue_is limit held 1
scancel "$t"
wait_done 20 "$t" "$u"
is "--signal: and then runs" "$(job_state "$u") $(out "$u" | tail -n 1)" \
    "COMPLETED ran"
at_rest "all of them" 40
tap_done
