#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Jobs of two users on two nodes share few locks while slurmstepd is killed,
# crashed and stopped at random, at whatever it does, and beside it slurmd, the
# parts of both agents and the server, which are started again; the oracle
# judges. At the end every lock is free, and every node idle.
#
#   FAULT_SECONDS   of load and faults; 10
#   FAULT_SEED      else a new one, which is printed
#   FAULT_FIGURES   a folder for the figures

set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/slurm-jobs.sh
# shellcheck disable=SC3045 # dash and bash know it
ulimit -c 0
top=$(pwd)
slurm_private "$0" "$@"
F=$B/tests/faults
SECS=${FAULT_SECONDS:-10}
SEED=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
LOCKS="k0 k1 k2"
echo "# FAULT_SEED=$SEED FAULT_SECONDS=$SECS"
PLUGSTACK_ARGS=
SITE_URL=http://127.0.0.1:7272/

# What works of both users lock and write to.
mkdir -m 777 "$T/marks"
: >"$T/history"
for l in $LOCKS; do
    : >"$T/marks/$l"
    : >"$T/rec.$("$B/bin/justalock" id $l)"
done
chmod 666 "$T/history" "$T/marks"/* "$T"/rec.*
"$F/recorder" "$T/rec" "$T/history" 2>"$T/log/recorder" &
recorder=$!
"$top/tests/faults/proxy" --listen 7272 --server 7171 --seed "$SEED" \
    --mode calm --history "$T/history" >"$T/log/counts" 2>"$T/log/proxy" &
proxy=$!
site_start '"slurm": { "cluster": "private" }' || exit 1

random() { # TEXT RANGE: a number below it, the same for the same seed
    awk -v s="$SEED$2" -v t="$1" -v r="$2" 'BEGIN {
        for (i = 1; i <= length(t); i++)
            s = (s * 31 + index("0123456789abcdefghijklmnopqrstuvwxyz", substr(t, i, 1))) % 1000003
        srand(s); rand(); print int(rand() * r) }'
}
# A job that is hard to end, of a step or of its script.
load() { # USER NUMBER
    n=0
    while [ ! -e "$T/stop" ]; do
        n=$((n + 1))
        ld_lock=k$(random "l$2n$n" 3) ld_srun='' ld_kind=plain
        [ "$(random "s$2n$n" 2)" = 0 ] || ld_srun=srun
        [ "$(random "k$2n$n" 2)" = 0 ] || ld_kind='deaf setsid'
        ld_job=$(sub "$1" --no-requeue --lock=$ld_lock --lock-wait=30s --wrap \
            "export WORK_HISTORY=$T/history WORK_LOCK=\$JUSTALOCK_ID
             exec $ld_srun $F/work $T/rec -- $F/witness $T/marks $ld_lock \
             $(random "m$2n$n" 1500) $ld_kind") || continue
        echo "$ld_job" >>"$T/jobs.$2"
        # Slurm does not miss a slurmstepd that was killed for some time.
        wait_done 15 "$ld_job" >>"$T/log/wait" || scancel "$ld_job"
        wait_done 60 "$ld_job"
        echo "$(job_state "$ld_job")" >>"$T/states"
    done
}
is_up() { on "$1" grep -qs '^State:.[^ZX]' "/proc/$2/status"; }
hit() { # SIGNAL NODE PID NAME
    { [ "${3:-0}" -gt 1 ] && is_up "$2" "$3" && on "$2" kill "-$1" "$3"; } \
        2>/dev/null || return 1
    echo "fault $4-$1" >>"$T/faults"
}
a_stepd() { # NODE: one of them, in whatever it does
    on "$1" pgrep -x slurmstepd | shuf -n 1
}
mayhem() {
    i=0
    while [ ! -e "$T/stop" ]; do
        i=$((i + 1))
        node=n$(($(random "n$i" 2) + 1))
        case $(random "w$i" 10) in
        0 | 1 | 2) hit KILL $node "$(a_stepd $node)" slurmstepd ;;
        3) hit SEGV $node "$(a_stepd $node)" slurmstepd ;;
        4 | 5)
            stepd=$(a_stepd $node)
            hit STOP $node "$stepd" slurmstepd &&
                (sleep "$(random "t$i" 4)" && on $node kill -CONT "$stepd") 2>/dev/null &
            ;;
        6) hit KILL $node "$(agent_pid $node guard)" guard ;;
        7) hit KILL $node "$(agent_pid $node keeper)" keeper ;;
        8)
            hit KILL $node "$(slurmd_pid $node)" slurmd && slurmd_start $node
            ;;
        9)
            server_stop
            echo "fault server-KILL" >>"$T/faults"
            server_start
            ;;
        esac
        sleep "0.$(random "p$i" 60 | awk '{ printf "%02d", $1 }')"
    done
}
: >"$T/faults"
loads=
for u in 1 2 3; do
    load alice $u &
    loads="$loads $!"
    load bob $((u + 3)) &
    loads="$loads $!"
done
mayhem &
faults=$!
sleep "$SECS"
: >"$T/stop"
wait $faults
# shellcheck disable=SC2086
wait $loads
# What outlives a killed slurmstepd ends by itself, some of it stopped before.
works_ended() { [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]; }
ok "all works have ended" wait_for 60 works_ended
for l in $LOCKS; do
    ok "$l is free" wait_for 60 queue_is $l free 0
done
at_rest "afterwards" 60
kill $proxy $recorder
wait $proxy $recorder 2>/dev/null
ok "the oracle finds nothing wrong" \
    eval "'$top/tests/faults/oracle' --least 3 '$T/history' >'$T/figures'"
is "the works saw nothing wrong" "$(cat "$T/marks/broken" 2>/dev/null)" ""
is "no node was drained" "$(sinfo -h -R -o '%E %N')" ""
ok "slurmstepd was hit" grep -q 'slurmstepd-KILL' "$T/faults"
is "neither did the programs that watch" "$(cat "$T/log/recorder" "$T/log/proxy")" ""
sed 's/^/# /' "$T/figures"
echo "# $(sort "$T/faults" | uniq -c | tr -s ' \n' ' ')"
echo "# $(sort "$T/states" | uniq -c | tr -s ' \n' ' ')"
[ -z "${FAULT_FIGURES:-}" ] || {
    cat "$T/figures"
    sort "$T/faults" | uniq -c | awk '{ print $2, $3, $1 }'
} >"$FAULT_FIGURES/slurm"
[ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/"
tap_done
