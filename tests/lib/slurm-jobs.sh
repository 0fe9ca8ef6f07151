# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Jobs under faults, on the private Slurm of tests/lib/slurm.sh with the site
# of tests/lib/slurm-site.sh (source both first).
#
#   sub USER ARG...        sbatch, prints the job's id; its output: out JOB
#   says JOB PATTERN       is that in its output?
#   works LOCK JOB         has the job worked (tests/lib/slurm.sh, ticks)?
#   works_on LOCK JOB      does it work now?
#   last_tick LOCK JOB     when it worked last, in ns
#   stepd_of NODE JOB      the slurmstepd of its batch script, as NODE counts
#   queue_is NAME HELD N   the server: held or free, and N wait for it
#   at_rest TEXT           after each case: nodes idle, nothing left of it, no
#                          lock held, no connection or place in a queue, never
#                          two at once

sub() { # USER ARG...
    sub_u=$1
    shift
    as "$sub_u" sbatch --parsable --open-mode=append --output=o.%j "$@"
}
out() { cat "o.$1" 2>/dev/null; }
says() { out "$1" | grep -Eq -- "$2"; }
works() { grep -q "^$1 $2\." "$T/work/log"; }
last_tick() {
    awk -v l="$1" -v j="$2" '$1 == l && $2 ~ "^" j "\\." { t = $3 }
        END { print t }' "$T/work/log"
}
works_on() {
    works_at=$(wc -l <"$T/work/log")
    wait_for 10 works_past "$1" "$2" "$works_at"
}
works_past() { tail -n "+$(($3 + 1))" "$T/work/log" | grep -q "^$1 $2\."; }
job_ran_again() { [ "$(job_field "$1" Restarts)" = "${2:-1}" ]; }
stepd_of() { # a task that waits has the same arguments, and another name
    on "$1" ps -eo pid=,comm=,args= | sed -n \
        "s/^ *\([0-9]*\) slurmstepd  *slurmstepd: \[$2\.batch\].*/\1/p"
}
kill_stepd() { # NODE JOB
    on "$1" kill -KILL "$(stepd_of "$1" "$2")"
    wait_for 10 stepd_is_gone "$1" "$2"
}
stepd_is_gone() { [ -z "$(stepd_of "$1" "$2")" ]; }

queue_is() { # NAME HELD N
    queue_now=$("$B/bin/justalock" status --json \
        --url http://127.0.0.1:7171/ "$1" | tr -d ' ')
    case $queue_now in
    *"\"state\":\"$2\""*"\"waiters\":$3"[!0-9]*) ;;
    *) return 1 ;;
    esac
}
queues_are_empty() { # of all locks that were worked under
    # shellcheck disable=SC2013
    for queue_of in $(cut -d ' ' -f 1 "$T/work/log" | sort -u); do
        queue_is "$queue_of" free 0 || return 1
    done
}
# What is left of work in the cgroups that the agents make.
rest_cgroups() {
    find "$(slurm_cgroup "$T")" -name 'job-*' 2>/dev/null
}
no_cgroup_is_left() {
    [ -z "$(slurm_cgroup "$T")" ] || [ -z "$(rest_cgroups)" ]
}

# Connections to the agents: each waiting task has one.
connections() {
    awk '$6 == "03" && $NF ~ /agent\.sock$/ { n++ } END { print n + 0 }' \
        /proc/net/unix
}
connections_are() { [ "$(connections)" = "$1" ]; }

at_rest() { # TEXT [SECONDS]
    ok_rest "$1: nodes idle, no process left" "${2:-20}"
    for at_n in n1 n2; do
        ok "$1: $at_n holds nothing" wait_for 15 agent_is_free $at_n
    done
    ok "$1: no cgroup is left" wait_for 10 no_cgroup_is_left
    ok "$1: nobody is connected to an agent" wait_for 10 connections_are 0
    ok "$1: nobody is in a queue" wait_for 10 queues_are_empty
    is "$1: never two at once" "$(overlaps)" ""
}
