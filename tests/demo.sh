#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The main job, for all to see: a private Slurm of two nodes, a lock server
# with its folder of state, an agent on each node; jobs of two users take turns
# on one named lock; then root shells on both nodes, by su, take turns on
# another. Prints what happened when, and checks it.

set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
slurm_skip_all() { # WHY: who asked for it is not told that it went well
    echo "demo: cannot run here: $1" >&2
    exit 69
}
slurm_private "$0" "$@"

say() { printf '%s\n' "$*"; }
die() {
    say "demo: $*" >&2
    tail -n 20 "$T"/log/* >&2
    exit 1
}
now_ms() { date +%s%3N; }

# The stack of su, for the logins below; only in this mount namespace.
cat >"$T/etc/su" <<END
auth sufficient pam_rootok.so
account required pam_permit.so
session required $B/lib/pam_justalock.so lock=root-shell
END
mount --bind "$T/etc/su" /etc/pam.d/su || die "no /etc/pam.d/su here"

# ---- a site: secret, configuration, server, agents ---------------------------
say "Starting munged, slurmctld, two slurmds, justalock-server, two agents."
export SITE_LIFETIME=300
site_start '"slurm": { "cluster": "demo-cluster" },
    "locks": { "root-shell": { "for": "pam" } }' || die "the site does not start"

# ---- four jobs, two users, one lock -------------------------------------------
: >"$T/work/log"
chmod 666 "$T/work/log"
cat >"$T/work/migrate" <<'END'
#!/bin/sh
#SBATCH --lock=db-migration --output=out.%j
echo "begin $SLURM_JOB_ID $(date +%s%3N) ${JUSTALOCK_TOKEN:-none} $(hostname)" >>log
sleep 2
echo "end $SLURM_JOB_ID $(date +%s%3N)" >>log
END
submit() { # USER NODE ARG...
    u=$1 n=$2
    shift 2
    as "$u" sbatch --parsable --nodelist="$n" "$@" "$T/work/migrate"
}
t0=$(now_ms)
a=$(submit alice n1) || die "sbatch failed"
wait_for 20 grep -q "begin $a" "$T/work/log" || die "job $a does not begin"
b=$(submit bob n2) && b_ms=$(now_ms)
c=$(submit alice n1) && c_ms=$(now_ms)
d=$(submit bob n2 --lock-on-busy=fail) || die "sbatch failed"
a_ms=$t0
wait_done 60 "$a" "$b" "$c" "$d" || die "the jobs do not end"

say
say "Three jobs ran '#SBATCH --lock=db-migration':"
say
printf '  %-4s %-6s %-5s %10s %10s %10s %12s %6s\n' job user node submitted \
    began ended handover token
last=
# In the order in which they got the lock.
for j in $(sed -n 's/^begin \([0-9]*\) .*/\1/p' "$T/work/log"); do
    case $j in
    "$a") user=alice sub=$a_ms ;;
    "$b") user=bob sub=$b_ms ;;
    *) user=alice sub=$c_ms ;;
    esac
    # shellcheck disable=SC2046
    set -- $(sed -n "s/^begin $j //p" "$T/work/log") \
        $(sed -n "s/^end $j //p" "$T/work/log")
    [ $# -eq 4 ] || die "the log of job $j is not whole"
    if [ -n "$last" ]; then hand="$(($1 - last)) ms"; else hand=-; fi
    printf '  %-4s %-6s %-5s %7s ms %7s ms %7s ms %12s %6s\n' "$j" $user "$3" \
        $((sub - t0)) $(($1 - t0)) $(($4 - t0)) "$hand" "$2"
    [ -z "$last" ] || [ "$1" -ge "$last" ] || die "two jobs held the lock at once"
    last=$4
done
say
say "What a waiting job says (job $c):"
sed 's/^/  /' "$T/work/out.$c"
say
say "What '--lock-on-busy=fail' says (job $d, $(job_state "$d"), exit status $(job_field "$d" ExitCode)):"
sed 's/^/  /' "$T/work/out.$d"
say
[ "$(job_state "$a") $(job_state "$b") $(job_state "$c")" = \
    "COMPLETED COMPLETED COMPLETED" ] || die "a job did not complete"
[ "$(job_state "$d")" = FAILED ] || die "job $d was not refused"
! grep -q " $d " "$T/work/log" || die "job $d ran without the lock"
wait_for 15 slurm_rest || die "not at rest: $slurm_why"
say "Nodes after it: $(sinfo -h -N -p main -o '%N %T' | tr '\n' ' ')"
say "No two of them at once: yes. Server's state: $(ls "$T/server" | tr '\n' ' ')"

# ---- two root shells -----------------------------------------------------------
say
say "A line in /etc/pam.d/su of both nodes: session required pam_justalock.so lock=root-shell"
shell_is_held() { say_on n1 list --json | grep -q '"root-shell"'; }
mkfifo "$T/work/leave"
on n1 su -c "cat '$T/work/leave' >'$T/work/left'" root &
first=$!
wait_for 20 shell_is_held || die "su on n1 does not get the lock"
say
say "n1# su                        (in)"
refused=$(on n2 su -c true root 2>&1) && die "two root shells at once"
say "n2# su"
printf '%s\n' "$refused" | sed 's/^/    /'
case $refused in *'lock "root-shell" is held by root@n1 (su'*) ;; *) die "not refused by the lock" ;; esac
say "n1# exit"
echo bye >"$T/work/leave"
wait $first || die "the first shell failed"
t1=$(now_ms)
on n2 su -c true root || die "su on n2 is refused though n1 has left"
say "n2# su                        (in and out, $(($(now_ms) - t1)) ms)"

# ---- leave nothing -------------------------------------------------------------
agent_stop n1 && agent_stop n2 || die "an agent does not stop"
exit 0
