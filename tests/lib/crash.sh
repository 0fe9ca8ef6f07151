# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Server and agent that are started again whenever they end, as systemd does,
# and what is done to them. Source it after tests/lib/agent.sh, call
# agent_private, then:
#
#   server_forever PORT &   state and log in $T/srv.PORT, $T/srv.log
#   agent_forever &         until $T/down is there; AGENT_PAUSE: seconds before
#                           it is started again. A guard does so at once, with
#                           the socket; who is as quick makes the socket anew.
#   forever_end             ends all of these for good; fails if one stays
#   pid_of watch|guard|keeper|server [PORT]
#   judge_start PORT SERVER_PORT      recorder at $T/rec and a proxy on PORT
#                           that only watches, both write $T/history
#   judge_end               until all works have ended; both end
#   raw_ns                  the clock of a history

server_forever() { # PORT
    while [ ! -e "$T/down" ]; do
        "$B/bin/justalock-server" --listen "127.0.0.1:$1" \
            --state "$T/srv.$1" >>"$T/srv.log" 2>&1 &
        echo $! >"$T/server.$1"
        wait $!
        sleep 0.05
    done 2>/dev/null # the shell's words on how it ended
}
agent_forever() {
    while [ ! -e "$T/down" ]; do
        "$B/bin/justalock-agent" --config "$T/conf.json" \
            --socket /run/agent.sock --state "$AGENT_STATE" \
            --keeper-user nobody >>"$T/agent.log" 2>&1
        sleep "${AGENT_PAUSE:-0.2}"
    done 2>/dev/null
}
forever_end() {
    : >"$T/down"
    for fe_pid in $(cat "$T"/server.*); do
        kill -KILL "$fe_pid"
    done 2>/dev/null
    wait_for 20 forever_gone
}
# One that was about to start may take over from the one that is stopped.
forever_gone() {
    pgrep justalock- >/dev/null || return 0
    kill -TERM "$(agent_pid watch)" 2>/dev/null
    return 1
}
is_up() { grep -qs '^State:.[^ZX]' "/proc/$1/status"; }
pid_of() { # watch|guard|keeper|server [PORT]
    case $1 in
    server) cat "$T/server.${2:-7171}" ;;
    *) agent_pid "$1" ;;
    esac
}
raw_ns() { python3 -c 'import time
print(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))'; }

judge_start() { # PORT SERVER_PORT
    [ -e "$T/history" ] || : >"$T/history"
    chmod 666 "$T/history"
    [ -S "$T/rec" ] || {
        "$B/tests/faults/recorder" "$T/rec" "$T/history" 2>>"$T/recorder.log" &
        judges="${judges:-} $!"
        wait_for 10 test -S "$T/rec"
    }
    tests/faults/proxy --listen "$1" --server "$2" --seed 1 --mode calm \
        --history "$T/history" >>"$T/counts" 2>>"$T/proxy.log" &
    judges="${judges:-} $!"
    wait_for 20 curl -s -o "$T/page" "http://127.0.0.1:$1/healthz"
}
works_ended() {
    [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]
}
judge_end() {
    wait_for 60 works_ended
    je_rc=$?
    # shellcheck disable=SC2086
    kill $judges
    # shellcheck disable=SC2086
    wait $judges 2>/dev/null
    rm -f "$T/rec" "$T"/rec.*
    judges=
    return $je_rc
}
