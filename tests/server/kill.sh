#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The server is SIGKILLed again and again while many clients take, refresh and
# release: what it has answered stands (tests/server/storm.c keeps the books).
# A handover is one transaction. Then, by its system calls: no "new" leaves
# before the sync of the log, and a refresh writes nothing.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
S=$T/srv.sock
up() {
    "$B/bin/justalock-server" --listen "unix:$S" --state "$T/srv" \
        >>"$T/srv.log" 2>&1 &
    server=$!
}
get() { curl -s -m 5 --unix-socket "$S" "http://x$1"; }
answers() { [ "$(get /healthz)" = ok ]; }
lock() { get "/v1/locks/AAAAAAAAAAAAAAAAAAAA$1" | jq -r "$2"; }
pause() { # of 0.2 to 1.2 s: a moment that nobody chose
    sleep "$(od -An -N2 -tu2 /dev/urandom | awk '{ print 0.2 + $1 / 65536 }')"
}

# ---- SIGKILL at any moment -------------------------------------------------
up
wait_for 20 answers
"$B/tests/server/storm" "$S" 30 24 6 >"$T/storm.out" &
storm=$!
kills=0 slow=0
while [ $kills -lt 25 ] && kill -0 $storm 2>/dev/null; do
    pause
    kill -KILL $server
    wait $server 2>/dev/null
    [ $? = 137 ] || echo "# the server had ended by itself"
    kills=$((kills + 1))
    up
    wait_for 20 answers || slow=$((slow + 1))
done
wait $storm
is "what was answered stands" "$? $(grep -c ^broken "$T/storm.out")" "0 0"
sed 's/^/# /' "$T/storm.out" | head -n 20
ok "killed $kills times, at least 20" [ $kills -ge 20 ]
is "each time it came back within 20 s" $slow 0
# shellcheck disable=SC2046
set -- $(tail -n 1 "$T/storm.out")
ok "under load: ${2:-0} grants, ${4:-0} refreshes, ${6:-0} releases" \
    [ "${2:-0}" -ge 500 ]
ok "offers among them: ${16:-0}" [ "${16:-0}" -ge 100 ]
ok "requests were cut off by it: ${12:-0}" [ "${12:-0}" -ge $kills ]
is "nothing is held at the end" "$(get /v1/locks | jq '[.locks[]|select(.held)]|length')" 0
is "no start found damage" "$(grep -c damaged "$T/srv.log")" 0

# ---- a handover is one transaction ------------------------------------------
commits() { get /metrics | awk '/^justalock_commit_seconds_count/ { print $2 }'; }
kill $server
wait $server
rm -rf "$T/srv" # where the last storm's shares are remembered
up
wait_for 20 answers
from=$(commits)
"$B/tests/server/storm" "$S" 2 6 1 >"$T/storm.out"
is "clients that queue for one lock" $? 0
to=$(commits)
# shellcheck disable=SC2046
set -- $(tail -n 1 "$T/storm.out")
ok "a release and the grant after it mostly go to disk together: $((to - from)) times for $2 grants, $6 releases" \
    [ $((to - from)) -le $((($2 + $6) * 8 / 10)) ]

# ---- the order of its system calls -----------------------------------------
kill $server
wait $server
rm -rf "$T/srv"
if ! strace -o "$T/none" true 2>/dev/null; then
    skip "no answer before the sync" "strace cannot trace here"
    tap_done
    exit
fi
# -D: the server stays our child, the tracer is its child.
strace -D -f -yy -s 300 -o "$T/calls" \
    -e trace=recvfrom,recvmsg,read,sendto,sendmsg,write,writev,pwrite64,pwritev,fsync,fdatasync,rename,unlink,ftruncate,openat \
    "$B/bin/justalock-server" --listen "unix:$S" --state "$T/srv" \
    >>"$T/srv.log" 2>&1 &
server=$!
wait_for 20 answers
ask() { # VERB ID CLIENT SHARE S: "CODE HOLDING"
    curl -s -m 10 --unix-socket "$S" -X "$1" -d "$3" -o "$T/body" -w '%{http_code}' \
        -D "$T/head" -H "Justalock-Share: $4" \
        "http://x/AAAAAAAAAAAAAAAAAAAA$2?s=$5"
    sed -n 's/\r$//; s/^Justalock-Holding: / /p' "$T/head" | tr -d '\n'
}
# What the server did for one request: r the request read, w a write to the
# state, s a sync of the log, S another sync or a rename, o an offer to
# one that waits, a the answer.
calls_of() { # COMMAND...: its output, then " | " and the calls
    calls_from=$(wc -l <"$T/calls")
    "$@"
    printf ' | '
    # The next call after the answer is on record when this one is.
    get /healthz >"$T/body"
    tail -n +$((calls_from + 1)) "$T/calls" | awk -v dir="$T/srv/" '
        /(recvfrom|recvmsg|read)\(.*"(POST|DELETE) / { printf "r"; on = 1 }
        !on { next }
        /(fsync|fdatasync)\(/ && index($0, dir "locks.db-wal>") { printf "s"; next }
        /(fsync|fdatasync|rename)\(/ && index($0, dir) { printf "S"; next }
        /(fsync|fdatasync)\(/ && index($0, substr(dir, 1, length(dir) - 1) ">") { printf "S"; next }
        /(write|pwrite64|writev|pwritev|ftruncate|unlink)\(/ && index($0, dir) { printf "w" }
        /(sendto|sendmsg|write|writev)\(.*Holding: offered/ { printf "o"; next }
        /(sendto|sendmsg|write|writev)\(.*HTTP\/1.1 / { printf "a"; exit }'
    echo
}
like "a first grant: its lease is marked, the log synced, then the answer" \
    "$(calls_of ask POST AQ one a 30)" '^200 new \| rwS+w+s+a$'
like "a grant: the log is synced, then the answer" \
    "$(calls_of ask POST Ag two a 30)" '^200 new \| rw+s+a$'
is "a refresh writes nothing" \
    "$(calls_of ask POST Ag two a 30)" "200 renewed | ra"
is "a shorter one neither" \
    "$(calls_of ask POST Ag two a 10)" "200 renewed | ra"
like "a longer one does, first" \
    "$(calls_of ask POST Ag two a 31)" '^200 renewed \| r[wS]+s+a$'
like "a further share does, first" \
    "$(calls_of ask POST Ag two b 30)" '^200 renewed \| rw+s+a$'
is "a refusal writes nothing" "$(calls_of ask POST Ag three c 30)" "409 | ra"
like "a release does, first" "$(calls_of ask DELETE Ag two b 30)" \
    '^200 \| rw+s+a$'
like "the release of what nobody holds too: it is remembered" \
    "$(calls_of ask DELETE Aw two z 30)" '^409 \| rw+s+a$'

# An offer is no holding and rests on nothing: it need not wait for the disk.
(
    ask POST BA two b 30 >"$T/first"
    curl -s -m 20 --unix-socket "$S" -d three -H 'Justalock-Share: c' \
        -H 'Justalock-Wait: 20' "http://x/AAAAAAAAAAAAAAAAAAAABA" >"$T/waited"
) &
waits=$!
is_queued() { [ "$(lock BA .waiters)" = 1 ]; }
wait_for 20 is_queued
like "a release that somebody waits for: the offer leaves, the log is synced, then the answer" \
    "$(calls_of ask DELETE BA two b 30)" '^200 \| row+s+a$'
wait $waits

# All of a storm: when an answer that rests on a change leaves, nothing is
# written and not synced.
"$B/tests/server/storm" "$S" 3 24 6 >"$T/storm.out"
is "a storm under the tracer breaks nothing" $? 0
kill $server
wait $server
is "the traced server ends as asked" $? 0
awk -v log_="$T/srv/locks.db-wal>" '
    /(pwrite64|write|pwritev|writev)\(/ && index($0, log_) { dirty = 1; n++ }
    /(fsync|fdatasync)\(/ && index($0, log_) { dirty = 0 }
    /(sendto|sendmsg|write|writev)\(.*HTTP\/1.1 / { a++; if (dirty) early++ }
    END { printf "%d %d %d\n", early, (a > 50), (n > 50) }' "$T/calls" >"$T/sum"
is "no answer of it before a sync that was due (early, answers, writes)" \
    "$(cat "$T/sum")" "0 1 1"
tap_done
