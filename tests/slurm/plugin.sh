#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The plugin in a real Slurm, with an agent that says what it is told to: what
# it links, what it sends, what it refuses before submission, and what becomes
# of a job whose agent is missing, stuck, silent or talks rubbish.

set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
slurm_private "$0" "$@"

so=$B/lib/spank_justalock.so
is "it links libc only" \
    "$(readelf -d "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | tr '\n' ' ')" \
    "libc.so.6 "
is "it exports nothing but hooks" "$(nm -D --defined-only "$so" |
    awk '{ print $3 }' | grep -vE '^(plugin_|spank_plugin|slurm_spank_)')" ""
is "it takes no thread, child, handler of its own loading, or stdio stream" \
    "$(nm -D --undefined-only "$so" | awk '{ print $2 }' | sed 's/@.*//' |
        grep -xE 'pthread_create|fork|vfork|posix_spawnp?|system|popen|dlopen|fopen|fdopen|printf|puts|getpwnam|getaddrinfo|malloc_usable_size')" ""

PLUGSTACK_ARGS="timeout=2s"
slurm_start || exit 1
mkdir "$T/fake"
mode() { echo "$*" >"$T/fake/mode.new" && mv "$T/fake/mode.new" "$T/fake/mode"; }
fake_start() { # [full]
    for fake_n in n1 n2; do
        leave_on $fake_n "$B/tests/slurm/fake_agent" \
            /run/justalock/agent.sock "$T/fake" "$@" 2>>"$T/log/fake"
    done
    wait_for 5 on n1 test -S /run/justalock/agent.sock
    wait_for 5 on n2 test -S /run/justalock/agent.sock
}
fake_stop() {
    for fake_n in n1 n2; do
        on $fake_n pkill -KILL -x fake_agent
        on $fake_n rm -f /run/justalock/agent.sock
    done
}
sub() { as alice sbatch --parsable --output=o.%j "$@"; }
asked() { grep -c "^type=3 .* job=$1 " "$T/fake/requests"; }
has_asked() { [ "$(asked "$1")" -ge "${2:-1}" ]; }
says() { grep -q "$2" "o.$1" 2>/dev/null; }
: >"$T/fake/requests"
chmod 666 "$T/fake/requests"
mode go
fake_start

# ---- before submission -------------------------------------------------------
for bad in 'lock=' 'lock=a,,b' 'lock= a' 'lock-wait=soon' 'lock-wait=-1' \
    'lock-on-busy=maybe' "lock=$(printf 'x%.0s' $(seq 300))"; do
    out=$(sub "--$bad" --wrap true 2>&1)
    like "sbatch refuses --$(echo "$bad" | cut -c1-20)" "$?$out" '^255.*justalock: --lock'
done
like "srun refuses a bad name" "$(as alice timeout 30 srun --lock=a,,b true 2>&1)" 'empty name'
like "salloc refuses a bad name" "$(as alice timeout 30 salloc --lock=a,,b true 2>&1)" 'empty name'
is "and nothing was submitted" "$(squeue -h)" ""

# ---- what is sent ----------------------------------------------------------------
mode go a,b
j=$(sub --lock=b,a --lock-wait=90 --lock-on-busy=requeue --wrap 'env | grep ^JUSTALOCK_')
wait_done 10 "$j"
is "the task's environment" "$(sort "o.$j" | grep -E '_(LOCK|TOKEN|ID)=' | tr '\n' ' ')" \
    "JUSTALOCK_ID=AAAAAAAAAAAAAAAAAAAAAA JUSTALOCK_LOCK=a,b JUSTALOCK_TOKEN=7 "
like "the prolog's words" "$(grep "^type=1 .* job=$j " "$T/fake/requests")" \
    "^type=1 peer=0 .* leader=$j array=-1_-1 restart=0 uid=2001 gid=2001 nodes=1 cluster=private partition=main .*locks=b,a wait=90000 busy=3"
like "the task's words" "$(grep "^type=3 .* job=$j " "$T/fake/requests")" \
    "^type=3 peer=0 .* uid=2001 gid=2001 .*step=-5 task=0 locks=b,a wait=90000 busy=3"
is "the epilog's words" "$(grep -c "^type=2 peer=0 .* job=$j " "$T/fake/requests")" 1
mode go
j=$(JUSTALOCK_LOCK=stale JUSTALOCK_TOKEN=9 sub --wrap 'env | grep ^JUSTALOCK_[LTI]')
wait_done 10 "$j"
is "a job without a lock says nothing" "$(cat "o.$j")" ""
for e in NONE FOO=1; do
    j=$(sub --export=$e --lock=kept --wrap true)
    wait_done 10 "$j"
    like "--export=$e does not lose the lock in the prolog" \
        "$(grep "^type=1 .* job=$j " "$T/fake/requests")" 'locks=kept'
    like "--export=$e does not lose the lock in the task" \
        "$(grep "^type=3 .* job=$j " "$T/fake/requests")" 'locks=kept'
done
j=$(sub --array=3,5 --lock=a --wrap true)
wait_done 10 "${j}_3" "${j}_5"
is "array tasks are named" "$(sed -n "s/^type=3 .*array=\(${j}_[35]\) .*/\1/p" \
    "$T/fake/requests" | sort | tr '\n' ' ')" "${j}_3 ${j}_5 "
j=$(sub -N2 --ntasks-per-node=2 --lock=a --wrap 'srun true')
wait_done 10 "$j"
is "the batch script and every task of srun ask" "$(asked "$j")" 5
is "the prolog of both nodes tells" \
    "$(grep -c "^type=1 .* job=$j .* nodes=2 " "$T/fake/requests")" 2
mode busy lock a is taken
as alice timeout 30 srun -N2 -n4 --lock=a true >o.srun 2>&1
is "srun: refused, exit status 75" "$?" 75
is "one sentence for four tasks" "$(grep -c 'justalock: lock a is taken' o.srun)" 1
j=$(sub --lock=a --wrap 'echo ran')
wait_done 10 "$j"
is "refused: job FAILED, 75" "$(job_state "$j") $(job_field "$j" ExitCode)" "FAILED 75:0"
is "with the sentence and what to do, alone in its output" "$(cat "o.$j")" \
    "justalock: lock a is taken
justalock: the job was not started; --lock-on-busy=wait and --lock-wait=TIME say how long it waits"
ok_rest "nothing is drained or left"

# ---- a slot of a pool -----------------------------------------------------------
mode note JUSTALOCK_SLOT=-,2
j=$(sub --lock=a --wrap 'env | grep ^JUSTALOCK_SLOT; echo ran')
noted() { asked "$j" >/dev/null && has_asked "$j"; }
ok "a job of a pool asks" wait_for 10 noted
sleep 0.5
mode go a,b
wait_done 20 "$j"
is "the slots are for its environment, not for its output" "$(tr '\n' ' ' <"o.$j")" \
    "JUSTALOCK_SLOT=-,2 ran "
mode go
j=$(JUSTALOCK_SLOT=7 sub --lock=a --wrap 'echo ${JUSTALOCK_SLOT-none}')
wait_done 20 "$j"
is "no pool: none, not even an inherited one" "$(cat "o.$j")" none

# ---- waiting -----------------------------------------------------------------
mode note lock a is held by bob
j=$(sub --lock=a --signal=B:USR1@3590 --time=60 --wrap 'echo ran $(cat /proc/self/comm)')
ok "a waiting job says for whom" wait_for 10 says "$j" 'held by bob'
name=$(on n1 sh -c 'cat /proc/[0-9]*/comm; :' 2>/dev/null | grep -c '^justalock$')
[ "$name" != 0 ] || name=$(on n2 sh -c 'cat /proc/[0-9]*/comm; :' 2>/dev/null | grep -c '^justalock$')
is "the task is named so that scancel reaches it" "$name" 1
scancel --signal=USR1 --batch "$j"
scancel --signal=USR2 "$j"
scancel --signal=ALRM --full "$j"
sleep 2.5 # silence longer than timeout= must not end a wait that was announced
mode go
wait_done 10 "$j"
is "USR1, USR2 and ALRM do not end the wait, and it goes on" \
    "$(job_state "$j") $(tail -n 1 "o.$j")" "COMPLETED ran cat"
is "the note was said once" "$(grep -c 'held by bob' "o.$j")" 1

mode note x
j=$(sub --lock=a --wrap 'echo ran')
wait_for 10 says "$j" 'justalock: x'
scancel "$j"
ok "scancel ends a wait" wait_job 5 "$j" CANCELLED
ok_rest "at once" 5
ok "and nothing ran" [ "$(grep -c ran "o.$j")" = 0 ]
as alice timeout 20 srun --lock=a sh -c 'echo ran' >o.int 2>&1 &
srun=$!
waits_int() { grep -q 'justalock: x' o.int; }
wait_for 10 waits_int
pkill -TERM -x srun
wait $srun
ok "TERM ends a waiting srun" [ "$?" != 124 ]
is "and nothing ran" "$(grep -c ran o.int)" 0
ok_rest "leaving nothing" 5
j=$(sub --lock=a --lock-wait=1s --no-requeue --wrap 'echo ran')
wait_done 12 "$j"
is "an agent that forgets a bounded wait: refused" \
    "$(job_state "$j") $(grep -c ran "o.$j")" "FAILED 0"

# ---- an agent that is restarted while tasks wait ----------------------------------
mode note y
j=$(sub --lock=a --wrap 'echo ran')
wait_for 10 says "$j" 'justalock: y'
before=$(asked "$j")
fake_stop
fake_start
ok "the waiting task asks the new agent" wait_for 10 has_asked "$j" $((before + 1))
like "by then as the user" "$(grep "^type=3 .* job=$j " "$T/fake/requests" | tail -n 1)" \
    '^type=3 peer=2001 '
mode go
wait_done 10 "$j"
is "and goes on" "$(job_state "$j")" COMPLETED

# ---- slurmstepd dies while its task waits -------------------------------------
mode note z
j=$(sub --no-requeue -w n1 --lock=a --wrap 'echo ran >ran.stepd')
wait_for 10 says "$j" 'justalock: z'
on n1 pkill -KILL -x slurmstepd
gone() { [ -z "$(on n1 pgrep -x justalock)" ]; }
ok "the waiting task ends with its slurmstepd" wait_for 5 gone
mode go
scancel "$j"
wait_done 20 "$j"
ok "and never starts the script" [ ! -e ran.stepd ]
ok_rest "nothing is left" 40

# ---- no agent, or none that answers ---------------------------------------------
refused() { # TEXT PATTERN [SBATCH ARG...]: refused with it, and requeued
    rtext=$1 rpattern=$2
    shift 2
    j=$(sub --lock=a "$@" --wrap 'echo ran')
    rdone() { [ "$(job_field "$j" Restarts)" = 1 ]; }
    ok "$rtext: the job is requeued" wait_for 15 rdone
    like "$rtext: after a sentence" "$(cat "o.$j")" "justalock: n[12]: not started without lock a: $rpattern"
    ok "$rtext: nothing ran" [ "$(grep -c ran "o.$j")" = 0 ]
    scancel "$j"
    j=$(sub --lock=a --no-requeue "$@" --wrap 'echo ran')
    wait_done 15 "$j"
    is "$rtext: with --no-requeue it is refused" \
        "$(job_state "$j") $(job_field "$j" ExitCode)" "FAILED 75:0"
    as alice timeout 30 srun --lock=a "$@" sh -c 'echo ran' >o.no 2>&1
    is "$rtext: srun is refused" "$? $(grep -c ran o.no)" "75 0"
    as alice timeout 30 srun "$@" sh -c 'echo ran' >o.no 2>&1
    is "$rtext: a job without a lock runs" "$? $(cat o.no)" "0 ran"
}
mode silent
refused "agent silent" 'no agent: no answer within 2000 ms'
mode rubbish
refused "agent talks rubbish" 'no agent: '
mode hangup
refused "agent hangs up" 'no agent: '
fake_stop
fake_start full
for n in n1 n2; do wait_for 5 on $n test -e /run/justalock/full; done
refused "agent stopped with a full backlog" 'no agent: .*takes no more'
fake_stop
refused "no agent" 'no agent: no justalock-agent answers at'
ok_rest "no node is drained, nothing is left" 20

# ---- no_agent=open ------------------------------------------------------------
echo "required $so timeout=1s no_agent=open" >"$T/etc/plugstack.conf"
j=$(sub --lock=a --wrap 'echo ran')
wait_done 10 "$j"
like "no_agent=open: the job runs, and says so" "$(cat "o.$j" | tr '\n' ' ')" \
    'starting, as no_agent=open says, without lock a: .* ran'
echo "required $so no_agnet=open" >"$T/etc/plugstack.conf"
like "a wrong word in plugstack.conf refuses jobs with locks" \
    "$(sub --lock=a --wrap true 2>&1)" 'plugstack.conf is wrong: no_agnet=open: unknown'
j=$(sub --wrap 'echo ran' 2>/dev/null)
wait_done 10 "$j"
is "but no other" "$(job_state "$j") $(cat "o.$j")" "COMPLETED ran"
ok_rest "nothing is drained or left"
tap_done
