#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A lock service that survives its machine, for all to see: three lock servers
# over an etcd of three members, a private Slurm of two nodes with an agent each.
# Jobs of two users take turns on one lock while the server that answers is
# killed, stopped and paused, and a member of the etcd dies. Prints what happened
# when, and checks it.

set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/etcd.sh
slurm_skip_all() { # WHY: who asked for it is not told that it went well
    echo "demo-ha: cannot run here: $1" >&2
    exit 69
}
etcd_can || slurm_skip_all "etcd, etcdctl, curl or jq is not installed"
slurm_private "$0" "$@"

say() { printf '%s\n' "$*"; }
die() {
    say "demo-ha: $*" >&2
    tail -n 20 "$T"/log/* "$T"/m?.log >&2
    exit 1
}
now_ms() { date +%s%3N; }
event() { echo "$(now_ms) $*" >>"$T/events"; }

# ---- the service ---------------------------------------------------------------
server() { # N
    "$B/bin/justalock-server" --listen "127.0.0.1:717$1" --listen "unix:$T/s$1.sock" \
        --state "etcd://$(etcd_ends "$1")" >>"$T/log/s$1" 2>&1 &
    echo $! >"$T/s$1.pid"
}
server_pid() { cat "$T/s$1.pid"; }
server_start() { # all of them, for site_start
    etcd_start || return 1
    for k in 1 2 3; do server $k; done
    wait_for 20 one_leads
}
one_leads() { lead=$(lead_of 1 2 3) && [ -n "$lead" ]; }
# Who answers, from now on.
watch_leads() {
    was=
    while :; do
        if one_leads && [ "$lead" != "$was" ]; then
            event "    s$lead answers"
            was=$lead
        fi
        sleep 0.05
    done
}
SITE_URL=http://127.0.0.1:7171/,http://127.0.0.1:7172/,http://127.0.0.1:7173/
export SITE_URL SITE_LIFETIME=60 ETCD_LOOK_S=0.2
say "Starting three etcd members, three justalock-servers, munged, slurmctld, two slurmds, two agents."
site_start '"slurm": { "cluster": "demo-cluster" }' || die "the site does not start"
say "The agents' service.url: \"$SITE_URL\""

# ---- five jobs, two users, one lock ----------------------------------------------
: >"$T/work/log"
chmod 666 "$T/work/log"
cat >"$T/work/migrate" <<'END'
#!/bin/sh
#SBATCH --lock=db-migration --output=out.%j
echo "begin $SLURM_JOB_ID $(date +%s%3N) ${JUSTALOCK_TOKEN:-none} $(hostname)" >>log
sleep 2
echo "end $SLURM_JOB_ID $(date +%s%3N)" >>log
END
one_leads || die "no server answers"
t0=$(now_ms)
watch_leads &
jobs=
for k in 1 2 3 4 5; do
    if [ $((k % 2)) = 1 ]; then user=alice; else user=bob; fi
    j=$(as $user sbatch --parsable --nodelist=n$((k % 2 + 1)) "$T/work/migrate") || die "sbatch failed"
    event "  job $j of $user is submitted"
    jobs="$jobs $j"
    [ $k != 1 ] || wait_for 20 grep -q "begin $j" "$T/work/log" || die "job $j does not begin"
done
begins() { # N: the Nth job to get the lock has it
    [ "$(grep -c ^begin "$T/work/log")" -ge "$1" ]
}
another_leads() { one_leads && [ "$lead" != "$gone" ]; }
takeover() { # N WORDS SIGNAL: in the Nth job
    wait_for 40 begins "$1" || die "no job number $1 begins"
    sleep 0.5
    one_leads || die "no server answers"
    gone=$lead
    event "s$gone $2 (kill -$3)"
    kill "-$3" "$(server_pid "$gone")"
    wait_for 20 another_leads || die "no other server answers"
}
back() { # starts again, as systemd would
    wait "$(server_pid "$gone")" 2>/dev/null
    server "$gone"
}
takeover 1 "is killed" KILL
back
takeover 2 "is stopped in order" TERM
back
takeover 3 "is paused" STOP
sleep 1
event "s$gone goes on (kill -CONT)"
kill -CONT "$(server_pid "$gone")"
wait_for 40 begins 4 || die "no fourth job begins"
event "m1, a member of the etcd, is killed (kill -KILL)"
kill -KILL "$(cat "$T/m1.pid")"
# shellcheck disable=SC2086
wait_done 60 $jobs || die "the jobs do not end"

# ---- what happened ---------------------------------------------------------------
say
say "Five jobs ran '#SBATCH --lock=db-migration':"
say
{
    cat "$T/events"
    sed -E 's/^begin ([0-9]+) ([0-9]+) ([^ ]+) (.*)/\2   job \1 begins on \4, token \3/
        s/^end ([0-9]+) ([0-9]+)/\2   job \1 ends/' "$T/work/log"
} | sort -s -n -k 1,1 | while IFS= read -r line; do
    at=$((${line%% *} - t0))
    printf '  %6d ms  %s\n' "$at" "${line#* }"
done
say
printf '  %-4s %10s %10s %12s %6s\n' job began ended handover token
last='' last_token=0
for j in $(sed -n 's/^begin \([0-9]*\) .*/\1/p' "$T/work/log"); do
    # shellcheck disable=SC2046
    set -- $(sed -n "s/^begin $j //p" "$T/work/log") \
        $(sed -n "s/^end $j //p" "$T/work/log")
    [ $# -eq 4 ] || die "the log of job $j is not whole"
    if [ -n "$last" ]; then hand="$(($1 - last)) ms"; else hand=-; fi
    printf '  %-4s %7s ms %7s ms %12s %6s\n' "$j" $(($1 - t0)) $(($4 - t0)) "$hand" "$2"
    [ -z "$last" ] || [ "$1" -ge "$last" ] || die "two jobs held the lock at once"
    [ "$2" -gt "$last_token" ] || die "the token did not grow"
    last=$4 last_token=$2
    [ "$(job_state "$j")" = COMPLETED ] || die "job $j did not complete"
done
[ "$(grep -c ^begin "$T/work/log")" = 5 ] || die "not all jobs ran"
wait_for 15 slurm_rest || die "not at rest: $slurm_why"
say
say "Nodes after it: $(sinfo -h -N -p main -o '%N %T' | tr '\n' ' ')"
say "No two of them at once, none lost its lock, every token greater: yes."
ctl put x y >/dev/null || die "the etcd does not work with two of three members"
say "In the etcd: $(ctl get --prefix --keys-only /justalock/ | grep . | cut -d / -f 2,3 |
    sort | uniq -c | awk '{ printf "%s%s%s", sep, ($1 > 1 ? $1 " " : ""), $2; sep = ", " }')"

# ---- leave nothing ------------------------------------------------------------------
agent_stop n1 && agent_stop n2 || die "an agent does not stop"
exit 0
