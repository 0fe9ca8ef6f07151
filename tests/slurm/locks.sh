#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Jobs of two users on two nodes take turns: the real agents and server under
# a real Slurm. Every policy, and every way for a job to come to its lock;
# what goes wrong is in faults.sh.

set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
slurm_private "$0" "$@"

PLUGSTACK_ARGS=
SLURM_EXTRA="PartitionName=rules Nodes=n1,n2 State=UP"
site_start '"slurm": { "cluster": "private", "requeue_max": 2,
    "rules": [ { "partition": "rules", "lock": "ruled" } ] },
  "locks": { "sessions": { "for": "pam" }, "bobs": { "users": ["bob"] },
    "pool": { "slots": 2 } }' || exit 1

sub() { # USER ARG...
    sub_u=$1
    shift
    as "$sub_u" sbatch --parsable --output=o.%A.%a "$@"
}
out() { cat "o.$1.4294967294" 2>/dev/null; }
says() { out "$1" | grep -q "$2"; }
works() { grep -q " $2\..*" "$T/work/log" && worked "$1" | grep -qx "$2"; }
at_rest() { # TEXT: idle, nothing left, nothing held, intervals disjoint
    ok_rest "$1: nodes idle, nothing left"
    for at_n in n1 n2; do
        ok "$1: $at_n holds nothing" wait_for 15 agent_is_free $at_n
    done
    is "$1: never two at once" "$(overlaps)" ""
}

# ---- turns ---------------------------------------------------------------------
a=$(sub alice -w n1 --lock=turn --wrap "./ticks turn 300")
wait_for 10 works turn "$a"
b=$(sub bob -w n2 --lock=turn --wrap "./ticks turn 20")
c=$(sub alice -w n1 --lock=turn --wrap "./ticks turn 20")
f=$(sub bob -w n2 --lock=turn --lock-on-busy=fail --wrap "./ticks turn 20")
w=$(sub bob -w n2 --lock=turn --lock-wait=300ms --wrap "./ticks turn 20")
wait_done 60 "$a" "$b" "$c" "$f" "$w"
is "turn: three run, two are refused" \
    "$(for j in $a $b $c $f $w; do job_state "$j"; done | tr '\n' ' ')" \
    "COMPLETED COMPLETED COMPLETED FAILED FAILED "
is "turn: each that ran did all its work" \
    "$(worked turn | sort | tr '\n' ' ')" "$(printf '%s\n' "$a" "$b" "$c" | sort | tr '\n' ' ')"
like "turn: who waits is told for whom" "$(out "$b")" \
    "^justalock: waiting for lock .turn., held by job $a .*since"
like "turn: who is refused is told by whom" "$(out "$f")" \
    "^justalock: .*lock .turn. is held by job $a .*since"
like "turn: and what to do about it" "$(out "$f")" \
    "^justalock: the job was not started; --lock-on-busy=wait"
is "turn: exit status 75" "$(job_field "$f" ExitCode) $(job_field "$w" ExitCode)" "75:0 75:0"
at_rest turn

# ---- the environment ----------------------------------------------------------
j=$(sub alice --lock=env --wrap 'env | grep -E "^JUSTALOCK_(LOCK|TOKEN|ID)=" | sort')
wait_done 20 "$j"
like "env: lock, token and id" "$(out "$j" | tr '\n' ' ')" \
    "^JUSTALOCK_ID=$("$B/bin/justalock" id env) JUSTALOCK_LOCK=env JUSTALOCK_TOKEN=[1-9][0-9]* \$"

# ---- a pool of two ---------------------------------------------------------------
pool='echo + $SLURM_JOB_ID $JUSTALOCK_SLOT >>'"$T"'/work/pool
  srun -n1 sh -c "echo s $SLURM_JOB_ID \$JUSTALOCK_SLOT >>'"$T"'/work/pool"
  sleep 1; echo - $SLURM_JOB_ID $JUSTALOCK_SLOT >>'"$T"'/work/pool'
js=
for n in n1 n2 n1 n2; do js="$js $(sub alice -w $n --lock=pool --wrap "$pool")"; done
# shellcheck disable=SC2086
wait_done 60 $js
is "pool: two at once, four ran, each step in its job's slot" "$(awk '
    $1 == "+" { n++; all++; if (n > most) most = n; if (used[$3]++ || $3 !~ /^[01]$/) bad++
                slot[$2] = $3 }
    $1 == "s" && slot[$2] != $3 { bad++ }
    $1 == "s" { steps++ }
    $1 == "-" { n--; used[$3]-- }
    END { print most, all, steps, bad + 0 }' "$T/work/pool")" "2 4 4 0"
ok_rest "pool: nodes idle, nothing left"

# ---- busy: requeue ------------------------------------------------------------
a=$(sub alice -w n1 --lock=rq --wrap "./ticks rq 100")
wait_for 10 works rq "$a"
b=$(sub bob -w n2 --lock=rq --lock-on-busy=requeue --open-mode=append --wrap "./ticks rq 10")
requeued() { [ "$(job_field "$b" Restarts)" = 1 ]; }
ok "requeue: a busy lock sends the job back" wait_for 10 requeued
like "requeue: with a sentence" "$(out "$b")" "^justalock: .*lock .rq. is held by job $a"
wait_done 40 "$a" "$b"
is "requeue: it runs later" "$(worked rq | tr '\n' ' ')" "$a $b "
is "requeue: and completes" "$(job_state "$b")" COMPLETED
at_rest requeue

# ---- steps and tasks ------------------------------------------------------------
j=$(sub alice -N2 --ntasks-per-node=4 --lock=steps --wrap \
    './ticks steps 5; srun ./ticks steps 5; srun -n1 --lock=steps ./ticks steps 5
     env -i PATH=$PATH SLURM_CONF=$SLURM_CONF SLURM_JOB_ID=$SLURM_JOB_ID srun -N2 -n2 ./ticks steps 5
     srun -n1 --lock=other true; echo other=$?
     srun -n1 --overlap ./ticks steps 5 & srun -n1 --overlap ./ticks steps 5 & wait')
k=$(sub bob --lock=steps --wrap './ticks steps 5')
wait_done 40 "$j" "$k"
is "steps: all complete" "$(job_state "$j") $(job_state "$k")" "COMPLETED COMPLETED"
is "steps: every task worked" "$(grep -c "^steps $j\." "$T/work/log")" "$((5 + 40 + 5 + 10 + 10))"
is "steps: another list inside the job is refused, once" \
    "$(out "$j" | grep -c 'justalock: this job has lock') $(out "$j" | grep other=)" "1 other=75"
at_rest steps
as alice timeout 60 srun -N2 -n4 --lock=direct ./ticks direct 5 >o.direct 2>&1
is "srun outside of a job" "$? $(grep -c '^direct ' "$T/work/log")" "0 20"
at_rest srun

# ---- --export, array, het job, two locks, singleton --------------------------------
a=$(sub alice --export=NONE --lock=exp --wrap "./ticks exp 10")
b=$(sub bob --export=FOO=1 --lock=exp --wrap "$T/work/ticks exp 10")
c=$(sub alice --array=1-4 --lock=arr --wrap './ticks arr 10')
wait_done 40 "$a" "$b" "${c}_1" "${c}_2" "${c}_3" "${c}_4"
is "export: both complete" "$(job_state "$a") $(job_state "$b")" "COMPLETED COMPLETED"
is "array: every task had its turn" "$(worked arr | wc -l)" 4
at_rest "export, array"
a=$(as alice sbatch --parsable --output=o.%A.%a --lock=het -w n1 : --lock=het -w n2 het.sh 2>&1) || {
    printf '#!/bin/sh\n./ticks het 5 L; srun --het-group=0 ./ticks het 5 L; srun --het-group=1 ./ticks het 5 L; srun --het-group=0,1 ./ticks het 5 L\n' >het.sh
    chmod 755 het.sh
    a=$(as alice sbatch --parsable --output=o.%A.%a --lock=het -w n1 : --lock=het -w n2 het.sh)
}
b=$(sub bob -w n2 --lock=het --wrap './ticks het 5')
wait_done 40 "$a" "$b"
is "het job: both complete" "$(job_state "$a") $(job_state "$b")" "COMPLETED COMPLETED"
is "het job: all four steps worked" "$(grep -c '^het .*\.L ' "$T/work/log")" 25
sed -i "s/^het [0-9]*\.L /het $a.L /" "$T/work/log" # components are one holder
at_rest "het job"
a=$(sub alice -w n1 --lock=two1,two2 --wrap "./ticks two1 10; ./ticks two2 10")
b=$(sub bob -w n2 --lock=two2,two1 --wrap "./ticks two2 10; ./ticks two1 10")
c=$(sub alice -w n2 --lock=two1 --wrap "./ticks two1 10")
d=$(sub bob -w n1 --lock=two2 --wrap "./ticks two2 10")
wait_done 40 "$a" "$b" "$c" "$d"
is "two locks: nobody waits for ever" \
    "$(for j in $a $b $c $d; do job_state "$j"; done | sort -u)" COMPLETED
at_rest "two locks"
a=$(sub alice -J night --lock=singleton --wrap "./ticks night 20")
b=$(sub alice -J night --lock=singleton --wrap "./ticks night 20")
c=$(sub alice -J day --lock=singleton --wrap "./ticks day 5; env | grep JUSTALOCK_LOCK")
d=$(sub bob -J x --lock=singleton:txt --wrap "./ticks txt 10")
e=$(sub bob -J y --lock=singleton:txt --wrap "./ticks txt 10")
wait_done 40 "$a" "$b" "$c" "$d" "$e"
is "singleton: all complete" \
    "$(for j in $a $b $c $d $e; do job_state "$j"; done | sort -u)" COMPLETED
at_rest singleton

# ---- a rule, and locks that are not for everybody ------------------------------------
a=$(sub alice -p rules -w n1 --wrap "./ticks ruled 30; env | grep ^JUSTALOCK_LOCK")
b=$(sub bob -p rules -w n2 --export=NONE --wrap "$T/work/ticks ruled 10")
wait_done 40 "$a" "$b"
like "rule: the job knows its lock" "$(out "$a")" '^JUSTALOCK_LOCK=ruled'
is "rule: both complete" "$(job_state "$a") $(job_state "$b")" "COMPLETED COMPLETED"
at_rest rule
a=$(sub alice --lock=bobs --wrap "echo ran")
b=$(sub bob --lock=bobs --wrap "echo ran")
c=$(sub bob --lock=sessions --wrap "echo ran")
wait_done 30 "$a" "$b" "$c"
like "denied: another's lock" "$(out "$a")" '^justalock: .*bobs'
is "denied: but its user may" "$(out "$b")" ran
like "denied: a lock for sessions" "$(out "$c")" '^justalock: .*sessions'

# ---- salloc: no stepd between the steps ----------------------------------------------
printf '#!/bin/sh\nsrun ./ticks gap 5 G\ntouch gap.1\nwhile [ ! -e gap.2 ]; do sleep 0.1; done\nsrun ./ticks gap 5 G\n' >gap.sh
chmod 755 gap.sh
as alice timeout 60 salloc --lock=gap ./gap.sh >o.gap 2>&1 &
salloc=$!
wait_for 20 test -e gap.1
b=$(sub bob --lock=gap --wrap './ticks gap 5')
ok "salloc: another job waits through the gap" wait_for 10 says "$b" 'held by job'
: >gap.2
wait $salloc
wait_done 20 "$b"
is "salloc: its second step had the lock still" "$(worked gap | wc -l) $(grep -c '\.G ' "$T/work/log")" "2 10"
at_rest salloc
as alice timeout 60 salloc --no-shell --lock=noshell >o.noshell 2>&1
j=$(sed -n 's/.*Granted job allocation //p' o.noshell)
as alice timeout 30 srun --jobid="$j" ./ticks noshell 5
is "salloc --no-shell, then srun --jobid" "$?" 0
scancel "$j"
at_rest "salloc --no-shell"

# ---- cancel, time limit ---------------------------------------------------------
a=$(sub alice -w n1 --lock=cancel --wrap "./ticks cancel 2000")
wait_for 10 works cancel "$a"
b=$(sub bob -w n2 --lock=cancel --wrap "./ticks cancel 20")
c=$(sub bob -w n1 --lock=cancel --wrap "./ticks cancel 20")
wait_for 10 says "$b" 'held by' && wait_for 10 says "$c" 'held by'
scancel "$b"
ok "cancel: a waiting job ends" wait_job 5 "$b" CANCELLED
scancel "$a"
ok "cancel: a holder ends" wait_job 10 "$a" CANCELLED
wait_done 20 "$c"
is "cancel: the one that waited is next" "$(worked cancel | tr '\n' ' ')" "$a $c "
at_rest cancel
like "time limit: Slurm's own work" "$(scontrol show config | grep OverTimeLimit)" 0
tap_done
