#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The real server under requests that are wrong, slow, too many or too large,
# over raw sockets. Behind every wrong one stands a good one for the lock
# AAAAAAAAAAAAAAAAAAAAAQ, which must never be carried out.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
RAW=$B/tests/server/raw
"$B/bin/justalock-server" --listen 127.0.0.1:7171 --listen "unix:$T/sock" \
    --state "$T/state" >"$T/srv.log" 2>&1 &
server=$!
get() { curl -s -m 10 "http://127.0.0.1:7171$1"; }
answers() { [ "$(get /healthz)" = ok ]; }
wait_for 10 answers
tell() { # the TAP of raw, as ours
    while read -r line; do
        case $line in
        "ok "*) tap_result 0 "${line#ok * - }" ;;
        "not ok "*) tap_result 1 "${line#not ok * - }" ;;
        "#"*) echo "$line" ;;
        1..*) ran=${line#1..} ;;
        esac
    done
}
ran=0
"$RAW" 7171 silent >"$T/silent.out" 2>&1 &
silent=$!
"$RAW" 7171 wrong >"$T/raw.out" 2>&1
tell <"$T/raw.out"
ok "more than 35 wrong requests ($ran in all)" [ "$ran" -gt 80 ]
# But for the one lock of the silent ones.
is "none of them took a lock" \
    "$(get /v1/locks | jq '[.locks[]|select(.held)]|length')" 1
"$RAW" "$T/sock" >"$T/raw.out" 2>&1
tell <"$T/raw.out"
ok "these and good ones over a unix socket ($ran in all)" [ "$ran" -gt 110 ]
is "no request behind a wrong one was carried out" \
    "$(get /v1/locks/AAAAAAAAAAAAAAAAAAAAAQ | jq .held)" false
"$RAW" 7171 slow >"$T/raw.out" 2>&1
tell <"$T/raw.out"
wait $silent
ran=0
tell <"$T/silent.out"
is "silent connections: all were looked at" "$ran" 7
"$RAW" 7171 flood 400 >"$T/raw.out" 2>&1
tell <"$T/raw.out"
ok "the server has lived through it" kill -0 $server
kill $server
wait $server
is "and ends as asked" $? 0

# ---- few descriptors -----------------------------------------------------------
(
    # shellcheck disable=SC3045
    ulimit -n 60
    exec "$B/bin/justalock-server" --listen 127.0.0.1:7171 --state "$T/state" \
        >>"$T/srv.log" 2>&1
) &
server=$!
wait_for 10 answers
"$RAW" 7171 flood 200 >/dev/null 2>&1 &
flood=$!
wait $flood
ok "200 connections to 60 descriptors: it lives, and serves again" \
    wait_for 20 answers
# No file for a connection at all: it does not ask without end, and serves
# again.
lines() { grep -c 'cannot accept' "$T/srv.log"; }
prlimit --nofile=12: --pid $server
"$RAW" 7171 flood 20 >/dev/null 2>&1 &
flood=$!
said() { [ "$(lines)" -ge 2 ]; }
ok "without a file for a connection: said" wait_for 20 said
prlimit --nofile=60: --pid $server
wait $flood
ok "then it serves again" wait_for 20 answers
ok "said $(lines) times, not without end" [ "$(lines)" -lt 40 ]
kill $server
wait $server

# ---- addresses -------------------------------------------------------------------
refused() { # TEXT PATTERN ARG...
    refused_text=$1 refused_pattern=$2
    shift 2
    refused_out=$(timeout 10 "$B/bin/justalock-server" --state "$T/other" "$@" 2>&1)
    like "$refused_text" "$? $refused_out" "$refused_pattern"
}
refused "an address of the network" '^78 .*0.0.0.0.*loopback' --listen 0.0.0.0:7171
refused "another one" '^78 .*loopback' --listen 192.0.2.1:7171
refused "no port" '^(64|78) ' --listen 127.0.0.1
refused "a port above 65535" '^(64|78) .*65536' --listen 127.0.0.1:65536
refused "a relative socket" '^(64|78) ' --listen unix:x
refused "nowhere to listen" '^64 '
tap_done
