#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Jobs, commands of an agent and commands without one share few locks while
# whatever holds and keeps these is killed, crashed and stopped; the oracle
# judges. First every part of agent and server in turn, again and again, under
# which no lock may be lost; then those and the commands' own processes and
# the work, at random, also stopped for longer than a lease.
#
#   FAULT_SECONDS   of each of the two parts; 18
#   FAULT_SEED      else a new one, which is printed
#   FAULT_FIGURES   a folder for the figures

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
# shellcheck disable=SC3045 # dash and bash know it
ulimit -c 0
F=$B/tests/faults
J=$B/bin/justalock
M=$T/marks
SECS=${FAULT_SECONDS:-18}
SEED=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
LOCKS="c0 c1 c2 c3"
echo "# FAULT_SEED=$SEED FAULT_SECONDS=$SECS"
mkdir -m 1777 "$M"
agent_conf '"lifetime": 10'
sed -i 's|"unix:[^"]*"|"http://127.0.0.1:7272/"|' "$T/conf.json"

# What systemd does for both: whoever ends is started again.
server_forever() {
    while [ ! -e "$T/down" ]; do
        "$B/bin/justalock-server" --listen 127.0.0.1:7171 --state "$T/srv" \
            >>"$T/srv.log" 2>&1
        sleep 0.05
    done
}
agent_forever() {
    while [ ! -e "$T/down" ]; do
        "$B/bin/justalock-agent" --config "$T/conf.json" \
            --socket /run/agent.sock --state "$AGENT_STATE" \
            --keeper-user nobody >>"$T/agent.log" 2>&1
        sleep 0.2
    done
}
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
        h_id=$("$J" id $h_lock) h_ms=$((h_r % 1700 + 20))
        # shellcheck disable=SC2046
        set -- "$1" "$2" env WORK_LOCK="$h_id" "$F/work" "$T/rec" -- \
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
is_up() { grep -qs '^State:.[^ZX]' "/proc/$1/status"; }
pid_of() { # watch|guard|keeper|server
    case $1 in
    server) pgrep -o -x justalock-serve ;;
    *) agent_pid "$1" ;;
    esac
}
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
    *) alone_part $(($1 - 10)) && return ;;
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
        choose "$(random "w$i" 13)"
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
ended() { [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]; }
value() { sed -n "s/^$1 //p" "$T/figures"; }
idle() { [ "$(client list | grep -c '^item')" = 0 ]; }
no_work() { ! pgrep -x witness >/dev/null; }

part() { # restarts|mayhem
    : >"$T/history"
    : >"$T/statuses"
    chmod 666 "$T/history"
    rm -f "$T/stop" "$T/rec" "$T"/rec.* "$M"/*
    "$F/recorder" "$T/rec" "$T/history" 2>"$T/recorder.log" &
    recorder=$!
    wait_for 10 test -S "$T/rec"
    tests/faults/proxy --listen 7272 --server 7171 --seed "$SEED" --mode passing \
        --history "$T/history" >"$T/counts" 2>"$T/proxy.log" &
    proxy=$!
    wait_for 20 curl -s -o "$T/page" http://127.0.0.1:7272/healthz
    kill -USR1 $proxy # it only watches, and writes down the leases
    holders=
    for i in 1 2 3 4; do
        for kind in agent alone job; do
            holder $kind $i &
            holders="$holders $!"
        done
    done
    "$1" &
    faults=$!
    sleep "$SECS"
    touch "$T/stop"
    wait $faults
    for l in $LOCKS; do
        ok "$1: $l can be taken afterwards" takable $l
    done
    # shellcheck disable=SC2086
    wait $holders
    ok "$1: all works have ended" wait_for 60 ended
    ok "$1: the agent holds nothing" wait_for 60 idle
    ok "$1: no process of a work is left" wait_for 30 no_work
    kill $proxy $recorder
    wait $proxy $recorder 2>/dev/null
    grep -v ^fault "$T/history" >"$T/judged"
    ok "$1: the oracle finds nothing wrong" \
        eval "tests/faults/oracle --least 5 '$T/judged' >'$T/figures'"
    is "$1: the works saw nothing wrong" "$(cat "$M/broken" 2>/dev/null)" ""
    sed "s/^/# $1: /" "$T/figures"
    echo "# $1: $(grep ^fault "$T/history" | cut -d ' ' -f 2 | sort | uniq -c | tr -s ' \n' ' ')"
    echo "# $1: $(sort "$T/statuses" | uniq -c | tr -s ' \n' ' ')"
    [ -z "${FAULT_FIGURES:-}" ] || {
        cat "$T/figures"
        grep ^fault "$T/history" | cut -d ' ' -f 1,2 | sort | uniq -c
    } >"$FAULT_FIGURES/crash-$1"
    [ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/$1.history"
}

server_forever &
agent_forever &
wait_for 20 agent_answers
part restarts
is "restarts: no lock was lost" "$(grep -cE ' (79|80)$' "$T/statuses")" 0
ok "restarts: $(grep -c ^fault "$T/history") of them" \
    [ "$(grep -c ^fault "$T/history")" -gt $((SECS * 2)) ]
part mayhem
: >"$T/down"
pkill -KILL -x justalock-serve
kill -TERM "$(agent_pid watch)"
gone() { ! pgrep justalock- >/dev/null; }
ok "a stop at the end leaves no process of ours" wait_for 20 gone
is "and no cgroup" "$(agent_cgroups)" ""
tap_done
