#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Jobs, logins, commands of an agent and commands without one share few locks
# while whatever holds and keeps these is killed, crashed and stopped; the oracle
# judges. First every part of agent and server in turn, again and again, under
# which no lock may be lost; then those and the commands' own processes, those
# of sshd and su, and the work, at random, also stopped for longer than a lease.
# slurmstepd: tests/slurm/crash.sh.
#
#   FAULT_SECONDS   of each of the two parts; 18
#   FAULT_SEED      else a new one, which is printed
#   FAULT_FIGURES   a folder for the figures

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/crash.sh
. tests/lib/logins.sh
agent_private "$0" "$@"
logins_private "session required $B/lib/pam_justalock.so lock=c4 socket=/run/agent.sock services=sshd,su on_unreachable=closed wait=20s"
# shellcheck disable=SC3045 # dash and bash know it
ulimit -c 0
F=$B/tests/faults
J=$B/bin/justalock
M=$T/marks
SECS=${FAULT_SECONDS:-18}
SEED=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
LOCKS="c0 c1 c2 c3 c4"
echo "# FAULT_SEED=$SEED FAULT_SECONDS=$SECS"
mkdir -m 777 "$M"
agent_conf '"lifetime": 10' '"locks": { "c4": { "for": ["pam", "command"] } }'
sed -i 's|"unix:[^"]*"|"http://127.0.0.1:7272/"|' "$T/conf.json"

random() { # TEXT RANGE: a number below it, the same for the same seed
    awk -v s="$SEED" -v t="$1" -v r="$2" 'BEGIN {
        for (i = 1; i <= length(t); i++)
            s = (s * 31 + index("0123456789abcdefghijklmnopqrstuvwxyz", substr(t, i, 1))) % 1000003
        srand(s); rand(); print int(rand() * r) }'
}

# ---- who holds ---------------------------------------------------------------
kinds_of() { # NUMBER
    case $1 in
    0) echo setsid ;; 1) echo deaf setsid ;; 2) echo storm ;; 3) echo vfork deaf ;;
    *) echo plain ;;
    esac
}
holder() { # KIND NUMBER
    h_n=0
    while [ ! -e "$T/stop" ]; do
        h_n=$((h_n + 1))
        h_r=$(random "$1$2n$h_n" 4000)
        h_lock=c$((h_r % 4))
        [ "$2" -lt 5 ] || h_lock=c4 # where sessions take turns too
        h_id=$("$J" id $h_lock) h_ms=$((h_r % 1700 + 20))
        # shellcheck disable=SC2046
        set -- "$1" "$2" env WORK_LOCK="$h_id" \
            WORK_HISTORY="$T/history" "$F/work" "$T/rec" -- \
            "$F/witness" "$M" $h_lock $h_ms $(kinds_of $((h_r / 4 % 6)))
        holder_once "$@"
        set -- "$1" "$2"
    done
}
holder_once() { # KIND NUMBER COMMAND...
    h_kind=$1 h_job=$(($2 * 100000 + h_n))
    shift 2
    case $h_kind in
    agent) "$J" run --socket /run/agent.sock -w 20s $h_lock "$@" ;;
    alone) "$J" run --config "$T/conf.json" -w 20s -t 10 $h_lock "$@" ;;
    ssh)
        ssh_run alice "$*"
        h_rc=$?
        sleep 0.2
        (exit $h_rc)
        ;;
    su)
        su -c "$*" bob
        h_rc=$?
        sleep 0.2
        (exit $h_rc)
        ;;
    job)
        client begin job=$h_job uid=1000 locks=$h_lock
        SLURM_JOB_ID=$h_job "$B/tests/agent/wire_client" /run/agent.sock \
            task job=$h_job uid=1000 locks=$h_lock wait=20000 -- "$@"
        h_rc=$?
        [ $h_rc != 69 ] || sleep 0.2
        # A lost prolog and a lost epilog are both told again by Slurm.
        until client end job=$h_job uid=1000; do sleep 0.3; done
        (exit $h_rc)
        ;;
    esac </dev/null >>"$T/run.log" 2>&1
    echo "$h_kind $?" >>"$T/statuses"
}

# ---- what is done to them ------------------------------------------------------
hit() { # SIGNAL PID NAME
    { [ "${2:-0}" -gt 1 ] && is_up "$2" && kill "-$1" "$2"; } 2>/dev/null || return 1
    echo "fault $3-$1 $(date +%s)000000000" >>"$T/history"
}
signal_of() { # NUMBER
    case $1 in 0 | 1 | 2 | 5) echo KILL ;; 3) echo SEGV ;; *) echo ABRT ;; esac
}
restarts() {
    i=0
    while [ ! -e "$T/stop" ]; do
        for who in watch guard keeper server; do
            i=$((i + 1))
            hit "$(signal_of "$(random "r$i" 5)")" "$(pid_of $who)" $who
            sleep "0.$(random "p$i" 25 | awk '{ printf "%02d", $1 }')"
        done
    done
}
# A command without an agent is hit once: with front and back gone, nobody is
# left who could end what they started (the manual says so).
alone_part() { # NUMBER: sets $who and $pid
    who='' pid=''
    for front in $(pgrep -f "^$J run --config"); do
        [ "$(ps -o ppid= -p "$front" | tr -d ' ')" != 1 ] || continue
        pgrep -P "$front" >/dev/null || continue
        pgrep -f "^$J run --config" | grep -qx "$(ps -o ppid= -p "$front" | tr -d ' ')" && continue
        grep -qsx "$front" "$T/was-hit" && continue
        echo "$front" >>"$T/was-hit"
        case $1 in
        0) who=front pid=$front ;;
        1) who=back pid=$(pgrep -P "$front" -x justalock | head -n 1) ;;
        *) who=own-keeper pid=$(pgrep -P "$front" -x justalock-keepe | head -n 1) ;;
        esac
        return
    done
}
choose() { # NUMBER: sets $who and $pid
    case $1 in
    0 | 1) who=watch ;;
    2 | 3) who=guard ;;
    4 | 5) who=keeper ;;
    6 | 7) who=server ;;
    8) who=owner pid=$(pgrep -f "^$J run --socket" | head -n 1) && return ;;
    9) who=work pid=$(pgrep -x witness | shuf -n 1) && return ;;
    10) who=su pid=$(pgrep -x su | shuf -n 1) && return ;;
    11 | 12) # the session's two processes, never the one that listens
        who=sshd pid=$(pgrep -x sshd | grep -vx "$(cat "$T/sshd.pid")" | shuf -n 1)
        return
        ;;
    *) alone_part $(($1 - 13)) && return ;;
    esac
    pid=$(pid_of "$who")
}
# What serves all is stopped alone; the rest beside other faults.
stop_for() { # SECONDS
    hit STOP "$pid" "$who" || return
    case $who in
    watch | guard | keeper | server)
        sleep "$1"
        kill -CONT "$pid"
        ;;
    *) (sleep "$1" && kill -CONT "$pid") & ;;
    esac 2>/dev/null
}
mayhem() {
    i=0
    while [ ! -e "$T/stop" ]; do
        i=$((i + 1))
        choose "$(random "w$i" 16)"
        how=$(random "h$i" 8)
        if [ "$how" -gt 5 ]; then
            stop_for "$(random "s$i" 6).$(random "t$i" 10)"
        else
            hit "$(signal_of "$how")" "$pid" "$who"
        fi
        sleep "0.$(random "p$i" 50 | awk '{ printf "%02d", $1 }')"
    done
}

# ---- the run -----------------------------------------------------------------
takable() { "$J" run --config "$T/conf.json" -t 10 -w 60s "$1" true 2>>"$T/take.err"; }
value() { sed -n "s/^$1 //p" "$T/figures"; }
idle() { [ "$(client list | grep -c '^item')" = 0 ]; }
no_work() { ! pgrep -x witness >/dev/null; }
sessions() { grep -cE '^(ssh|su) 0' "$T/statuses"; } # that had the lock
a_session() { [ "$(sessions)" -gt 0 ]; }

part() { # restarts|mayhem
    : >"$T/history"
    : >"$T/statuses"
    chmod 666 "$T/history"
    rm -f "$T/stop" "$T/rec" "$T"/rec.* "$M"/*
    # What works of any user lock.
    for l in $LOCKS; do
        : >"$M/$l"
        : >"$T/rec.$("$J" id "$l")"
    done
    chmod 666 "$M"/* "$T"/rec.*
    judge_start 7272 7171
    holders=
    for kind in agent alone job; do
        for i in 1 2 3 4; do
            holder $kind $i &
            holders="$holders $!"
        done
    done
    for kind in ssh ssh su agent; do
        i=$((i + 1))
        holder $kind $i &
        holders="$holders $!"
    done
    "$1" &
    faults=$!
    sleep "$SECS"
    wait_for 60 a_session # they come late: login and service begin them
    touch "$T/stop"
    wait $faults
    for l in $LOCKS; do
        ok "$1: $l can be taken afterwards" takable $l
    done
    # shellcheck disable=SC2086
    wait $holders
    ok "$1: all works have ended" wait_for 60 works_ended
    ok "$1: the agent holds nothing" wait_for 60 idle
    ok "$1: no process of a work is left" wait_for 30 no_work
    judge_end
    grep -v ^fault "$T/history" >"$T/judged"
    ok "$1: the oracle finds nothing wrong" \
        eval "tests/faults/oracle --least 5 '$T/judged' >'$T/figures'"
    is "$1: the works saw nothing wrong" "$(cat "$M/broken" 2>/dev/null)" ""
    sed "s/^/# $1: /" "$T/figures"
    echo "# $1: $(grep ^fault "$T/history" | cut -d ' ' -f 2 | sort | uniq -c | tr -s ' \n' ' ')"
    echo "# $1: $(sort "$T/statuses" | uniq -c | tr -s ' \n' ' ')"
    [ -z "${FAULT_FIGURES:-}" ] || {
        cat "$T/figures"
        grep ^fault "$T/history" | cut -d ' ' -f 2 | sort | uniq -c |
            awk '{ print "fault", $2, $1 }'
    } >"$FAULT_FIGURES/crash-$1"
    ok "$1: sessions had the lock ($(sessions) of them)" \
        a_session
    [ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/$1.history"
}

server_forever 7171 &
agent_forever &
wait_for 20 agent_answers
sshd_start
part restarts
is "restarts: no lock was lost" "$(grep -cE ' (79|80)$' "$T/statuses")" 0
is "restarts: neither that of a session or a job" \
    "$(grep ' is lost: ' "$T/agent.log")" ""
ok "restarts: $(grep -c ^fault "$T/history") of them" \
    [ "$(grep -c ^fault "$T/history")" -gt $((SECS * 2)) ]
part mayhem
ok "a stop at the end leaves no process of ours" forever_end
is "and no cgroup" "$(agent_cgroups)" ""
tap_done
