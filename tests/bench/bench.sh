#!/bin/sh
# SPDX-License-Identifier: MIT
#
# make bench: what justalock costs beside its peers, as ratios in one run.
#
#   tests/bench/bench.sh [PART...]    run handover server flood etcd agent pam slurm
#
# Every value is a median over rounds; in a round, ours and the peer's run in
# turn, and a ratio is one of the same round, so that what else the machine
# does falls on both. "min..max" is over the rounds. All of it runs in private
# mount, pid and network namespaces on the loopback, with state on the disk
# that holds $B. The table goes to $B/bench.md. Needs root, etcd, flock.
#
# ROUNDS (7), SECONDS_EACH (1, of server load), WINDOW (40, agent's CPU): less
# is quicker and less sure.

set -u
B=$(cd "${B:-build}" && pwd) || exit 1
T=$B/tests/bench
ROUNDS=${ROUNDS:-7}
SECONDS_EACH=${SECONDS_EACH:-1}
WINDOW=${WINDOW:-40}
PATH=$PATH:/usr/sbin:/sbin
J=$B/bin/justalock
PARTS="run handover server flood etcd agent pam slurm"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $PARTS
for part; do
    case " $PARTS " in
    *" $part "*) ;;
    *)
        echo "bench: there is no part '$part'; there are: $PARTS" >&2
        exit 64
        ;;
    esac
done

if [ -z "${BENCH_PRIVATE:-}" ]; then
    dir=$(mktemp -d "$B/bench.XXXXXX") || exit 1
    BENCH_PRIVATE=$dir unshare --mount --pid --net --uts --fork \
        --kill-child=KILL --mount-proc /bin/sh "$0" "$@" &
    pid=$!
    trap 'kill -KILL $pid' INT TERM HUP
    wait $pid
    rc=$?
    rm -rf "$dir"
    # The harness for Slurm makes namespaces of its own.
    case " $* " in
    *" slurm "*)
        B=$B ROUNDS=$ROUNDS tests/bench/slurm.sh </dev/null || rc=1
        ;;
    esac
    [ ! -e "$B/bench.md" ] || cat "$B/bench.md"
    exit $rc
fi

dir=$BENCH_PRIVATE
url=http://127.0.0.1:7171/
config=$dir/justalock.json
export ETCDCTL_API=3
# Either of them, like --url and --config, would keep commands from the agent.
unset JUSTALOCK_URL JUSTALOCK_CONFIG

. tests/lib/etcd.sh # sets how etcd and etcdctl are to behave, too

say() { echo "bench: $*" >&2; }
wait_for() { # SECONDS COMMAND...
    left=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.05
    done
}
# row MEASURED VALUE PEER RATIO TARGET
row() { echo "| $1 | $2 | $3 | $4 | $5 |" >>"$B/bench.md"; }
# median min max of the numbers on stdin
spread() {
    sort -g | awk '{ v[NR] = $1 } END { if (NR) printf "%.4g %.4g %.4g\n",
        NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2,
        v[1], v[NR] }'
}
# "median (min..max) UNIT" of "median min max"
show() { # UNIT MEDIAN MIN MAX
    echo "$2${1:+ $1} ($3..$4)"
}
of() { # FILE NAME -> "median min max" of timeit's line
    awk -v n="$2" '$1 == n { print $2, $3, $4 }' "$1"
}

# ---- what is measured against -----------------------------------------------

start_server() {
    [ -z "${server:-}" ] || return 0
    "$B/bin/justalock-server" --listen 127.0.0.1:7171 \
        --listen "unix:$dir/server.sock" --state "$dir/state" \
        >"$dir/server.log" 2>&1 &
    server=$!
    wait_for 10 test -S "$dir/server.sock" || {
        cat "$dir/server.log" >&2
        exit 1
    }
}
start_etcd() {
    [ -z "${etcd:-}" ] || return 0
    etcd --data-dir "$dir/etcd" \
        --listen-client-urls http://127.0.0.1:2379 \
        --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 >"$dir/etcd.log" 2>&1 &
    etcd=$!
    # Without one, etcdctl itself takes 5 s to say so.
    wait_for 20 curl -sf -o "$dir/page" http://127.0.0.1:2379/health || {
        cat "$dir/etcd.log" >&2
        exit 1
    }
}
start_agent() {
    [ -z "${agent:-}" ] || return 0
    "$B/bin/justalock-agent" --config "$config" \
        --socket /run/justalock/agent.sock --state /run/justalock/state \
        >"$dir/agent.log" 2>&1 &
    agent=$!
    wait_for 10 test -S /run/justalock/agent.sock || {
        cat "$dir/agent.log" >&2
        exit 1
    }
}
# A command of root must be on the agent's list, or what is measured as "the
# agent" is something else.
agent_serves() {
    "$J" run probe sleep 20 </dev/null 2>"$dir/probe" &
    probe=$!
    wait_for 10 is_listed probe
    served=$?
    kill $probe
    wait $probe 2>/dev/null
    [ "$served" -eq 0 ] || {
        say "the agent does not serve commands here"
        "$J" list >&2
        cat "$dir/probe" "$dir/agent.log" >&2
    }
    return "$served"
}
is_listed() { "$J" list --json | grep -q "\"$1\""; }
agent_usable() {
    [ -x "$B/bin/justalock-agent" ] && start_agent && agent_serves
}

# ---- 1: a command with a lock --------------------------------------------------

part_run() {
    start_server
    start_etcd
    say "run: $ROUNDS rounds of 10 commands each"
    "$T/timeit" "$ROUNDS" 10 \
        alone "$J" run --no-agent --url "$url" x true , \
        etcdctl etcdctl lock x -- true , \
        flock flock "$dir/x" true , \
        true true >"$dir/run" || return 1
    # shellcheck disable=SC2046
    row "\`justalock run x true\`, network in its own process" \
        "$(show ms $(of "$dir/run" alone))" \
        "etcdctl lock $(show ms $(of "$dir/run" etcdctl))" \
        "$(show '' $(of "$dir/run" alone/etcdctl))" "at most 0.5"
    agent_usable || return 1
    "$T/timeit" "$ROUNDS" 10 \
        agent "$J" run x true , \
        flock flock "$dir/x" true >"$dir/run2" || return 1
    # shellcheck disable=SC2046
    row "\`justalock run x true\`, through the agent (root)" \
        "$(show ms $(of "$dir/run2" agent))" \
        "flock $(show ms $(of "$dir/run2" flock))" \
        "$(show '' $(of "$dir/run2" agent/flock))" "at most 1.5"
    # shellcheck disable=SC2046
    row "the same without the agent" "$(show ms $(of "$dir/run" alone))" \
        "flock $(show ms $(of "$dir/run" flock))" \
        "$(show '' $(of "$dir/run" alone/flock))" "-"
}

# ---- 2: handover ------------------------------------------------------------------

has_waiters() { # N: so says the status on stdin
    awk -v want="$1" 'match($0, /"waiters": *[0-9]+/) {
        n = substr($0, RSTART, RLENGTH); sub(/.*[: ]/, "", n)
        if (n + 0 >= want) found = 1 } END { exit !found }'
}
waiting_alone() { "$J" status --json --url "$url" hand | has_waiters "$1"; }
waiting_agent() {
    [ "$("$J" list --json | grep -o '"waiting"' | wc -l)" -ge "$1" ]
}
waiting_etcdctl() {
    [ "$(etcdctl get --prefix --keys-only hand | grep -c '^hand/')" -gt "$1" ]
}
lock_alone() { exec "$J" run --no-agent --url "$url" hand "$@"; }
lock_agent() { exec "$J" run hand "$@"; }
lock_etcdctl() { exec etcdctl lock hand -- "$@"; }

# One chain: a holder, WAITERS behind it; the gaps in ms, one a line.
chain() { # WHO WAITERS
    rm -f "$dir/stamps" "$dir/gate"
    mkfifo "$dir/gate"
    ("lock_$1" "$T/stamp" "$dir/stamps" "$dir/gate") </dev/null 2>/dev/null &
    pids=$!
    wait_for 20 test -e "$dir/stamps" || return 1
    n=0
    while [ "$n" -lt "$2" ]; do
        ("lock_$1" "$T/stamp" "$dir/stamps") </dev/null 2>/dev/null &
        pids="$pids $!"
        n=$((n + 1))
    done
    wait_for 30 "waiting_$1" "$2" || {
        say "handover: $1: the waiters did not all queue"
        # shellcheck disable=SC2086
        kill $pids
        return 1
    }
    sleep 0.2 # all of them idle
    echo >"$dir/gate"
    # shellcheck disable=SC2086
    wait $pids
    sort -n "$dir/stamps" | awk 'NR > 1 { printf "%.3f\n", ($1 - end) / 1e6 }
        { end = $2 }'
}
# chains WAITERS WHO...: $dir/WHO.all has all gaps, $dir/WHO.med one line a chain
chains() {
    chains_waiters=$1
    shift
    chains=$ROUNDS
    [ "$chains_waiters" -eq 2 ] || chains=$(((ROUNDS + 1) / 2))
    say "handover: $chains_waiters waiters, $chains rounds"
    for w; do : >"$dir/$w.all" && : >"$dir/$w.med"; done
    while [ "$chains" -gt 0 ]; do
        for w; do
            chain "$w" "$chains_waiters" >"$dir/gaps" || return 1
            cat "$dir/gaps" >>"$dir/$w.all"
            spread <"$dir/gaps" >>"$dir/$w.med"
        done
        chains=$((chains - 1))
    done
}
# of_chains TEXT WHO PEER_TEXT PEER TARGET
of_chains() {
    paste -d ' ' "$dir/$2.med" "$dir/$4.med" | awk '{ print $1 / $4 }' |
        spread >"$dir/ratio"
    # shellcheck disable=SC2046
    row "$1" "$(show ms $(spread <"$dir/$2.all"))" \
        "$3 $(show ms $(spread <"$dir/$4.all"))" \
        "$(show '' $(cat "$dir/ratio"))" "$5"
}
part_handover() {
    start_server
    start_etcd
    who="alone"
    ! agent_usable || who="alone agent"
    for waiters in 2 32; do
        # shellcheck disable=SC2086
        chains $waiters $who etcdctl || return 1
        for w in $who; do
            of_chains "handover, $waiters waiters, $w" "$w" "etcdctl lock" \
                etcdctl "2 ms; at most 1"
        done
    done
}

# ---- 3: the server ------------------------------------------------------------------

load() { # PORT CONNECTIONS MODE
    "$T/load" "$1" "$2" "$SECONDS_EACH" "$3" | tee -a "$dir/load.log" |
        cut -d' ' -f1
}
# versus TEXT TARGET OUR_MODE PEER PEER_PORT PEER_MODE [OUR_PORT]
versus() {
    for c in 2 64; do
        : >"$dir/ours" && : >"$dir/peer"
        n=$ROUNDS
        while [ "$n" -gt 0 ]; do
            load "${7:-7171}" $c "$3" >>"$dir/ours"
            load "$5" $c "$6" >>"$dir/peer"
            n=$((n - 1))
        done
        paste -d ' ' "$dir/ours" "$dir/peer" | awk '{ print $1 / $2 }' |
            spread >"$dir/ratio"
        # shellcheck disable=SC2046
        row "server: $1, $c connections" \
            "$(show /s $(spread <"$dir/ours"))" \
            "$4 $(show /s $(spread <"$dir/peer"))" \
            "$(show '' $(cat "$dir/ratio"))" "$2"
    done
}
part_server() {
    start_server
    start_etcd
    "$T/mhd_echo" 7172 &
    echo=$!
    wait_for 5 "$T/load" 7172 1 0.01 refresh
    say "server: 4 pairs of $ROUNDS rounds of $SECONDS_EACH s"
    versus refreshes "at least 0.8" refresh "libmicrohttpd echo" 7172 refresh
    versus "durable new grants" "at least 3 at 64" grant \
        "etcd JSON put" 2379 put
    kill $echo
    wait $echo 2>/dev/null
    return 0 # and not the echo's end by our signal
}

# ---- 4: servers that share an etcd of three members -----------------------------------

# Server N at port 7180 + N; the members' clients at 2371 to 2373.
share_port() { echo 718$1; }
start_share() { # N
    "$B/bin/justalock-server" --listen "127.0.0.1:$(share_port "$1")" \
        --state "etcd://$(etcd_ends "$1")" >>"$dir/share$1.log" 2>&1 &
    echo $! >"$dir/share$1.pid"
}
share_pid() { cat "$dir/share$1.pid"; }
share_grants() { # N: a lock that nobody has had
    share_n=$((${share_n:-0} + 1))
    [ "$(curl -s -m 1 -o "$dir/page" -w '%{http_code}' -H "Justalock-Share: $share_n" \
        -d "bench" "http://127.0.0.1:$(share_port "$1")/$(printf '%021dA' $share_n)?s=60")" = 200 ]
}
share_leads() { # N...: sets $lead
    for lead; do
        [ "$(curl -s -m 1 -o "$dir/page" -w '%{http_code}' \
            "http://127.0.0.1:$(share_port "$lead")/healthz")" != 200 ] || return 0
    done
    return 1
}
lock_shared() { exec "$J" run --no-agent --url "http://127.0.0.1:$(share_port "$lead")/" hand "$@"; }
waiting_shared() {
    "$J" status --json --url "http://127.0.0.1:$(share_port "$lead")/" hand | has_waiters "$1"
}
lock_members() { exec etcdctl --endpoints "$(etcd_ends)" lock hand -- "$@"; }
waiting_members() {
    [ "$(ctl get --prefix --keys-only hand | grep -c '^hand/')" -gt "$1" ]
}

# Time without grants, in ms: from the signal to another server's first grant.
takeover() { # TERM|KILL|STOP
    share_leads 1 2 3 || return 1
    gone=$lead others="$((lead % 3 + 1)) $(((lead + 1) % 3 + 1))"
    share_grants "$gone" || return 1
    began=$(date +%s%N)
    kill "-$1" "$(share_pid "$gone")"
    while :; do
        for other in $others; do
            ! share_grants "$other" || break 2
        done
        [ $(($(date +%s%N) - began)) -lt 30000000000 ] || return 1
    done
    echo $((($(date +%s%N) - began) / 1000000))
    # As it was: it ends where it does not yet, and starts again.
    kill -CONT "$(share_pid "$gone")" 2>/dev/null
    kill -TERM "$(share_pid "$gone")" 2>/dev/null
    wait "$(share_pid "$gone")" 2>/dev/null
    start_share "$gone"
    wait_for 10 curl -s -o "$dir/page" "http://127.0.0.1:$(share_port "$gone")/healthz"
}
part_etcd() {
    start_server
    ETCD_DIR=$dir
    etcd_start || return 1
    for n in 1 2 3; do start_share $n; done
    wait_for 20 share_leads 1 2 3 || return 1
    # First, while few locks are held: who takes over reads all of them.
    say "etcd: takeovers, $ROUNDS rounds of three"
    for how in TERM KILL STOP; do
        n=$ROUNDS
        : >"$dir/takeover"
        while [ "$n" -gt 0 ]; do
            takeover $how >>"$dir/takeover" || return 1
            n=$((n - 1))
        done
        case $how in
        TERM) set -- "stopped in order" 500 ;;
        KILL) set -- killed 5000 ;;
        STOP) set -- "paused (SIGSTOP)" 5000 ;;
        esac
        # shellcheck disable=SC2046
        row "time without grants, server $1" "$(show ms $(spread <"$dir/takeover"))" - - "under $2 ms"
    done
    share_leads 1 2 3 || return 1
    say "etcd: 4 pairs of $ROUNDS rounds of $SECONDS_EACH s"
    versus "durable new grants, on etcd" "at least 3 at 64" grant \
        "etcd JSON put" 2371 put "$(share_port "$lead")"
    versus "durable new grants, on etcd" "-" grant \
        "the same on SQLite" 7171 grant "$(share_port "$lead")"
    for waiters in 2 32; do
        chains $waiters shared members alone || return 1
        of_chains "handover on etcd, $waiters waiters" shared "etcdctl lock" members "-"
        of_chains "handover on etcd, $waiters waiters" shared "the same on SQLite" alone "-"
    done
}

# ---- floods, and another client ---------------------------------------------------------

# Of one that refreshes a lock over the unix socket, and takes and gives back
# another one on a new connection each time: what that costs beside a flood
# from loopback, which is another client with the usual limits.
beside() { # TEXT KIND N [LOCKS]
    text=$1
    if [ $# -gt 1 ]; then
        shift
        "$F" 7173 "$1" "$2" 300 ${3:+"$3"} >"$dir/flood.out" 2>&1 &
        flood=$!
        sleep 5 # all of it is there
    fi
    "$F" "$dir/flood.sock" probe $((ROUNDS * 100)) 0 >"$dir/probe" || return 1
    [ -z "${flood:-}" ] || { kill "$flood" && wait "$flood"; } 2>/dev/null
    flood=
    sed -n 's/^other //p' "$dir/probe" | grep -qx 0 || {
        say "flood: $text: not all were served"
        cat "$dir/probe" >&2
    }
    [ -e "$dir/probe0" ] || cp "$dir/probe" "$dir/probe0"
    for what in refresh grant; do
        # shellcheck disable=SC2046
        set -- $(awk -v w=$what '$1 == w { print $2, $3 }' "$dir/probe" "$dir/probe0")
        row "a $what beside $text" "median $1 ms, worst $2 ms" \
            "beside nothing: $3 ms, $4 ms" \
            "$(awk -v a="$1" -v b="$3" 'BEGIN { printf "%.3g", a / b }')" \
            "served; $(sed -n 's/^other //p' "$dir/probe") refused"
    done
}
part_flood() {
    F=$B/tests/server/flood
    "$B/bin/justalock-server" --listen 127.0.0.1:7173 \
        --listen "unix:$dir/flood.sock" --state "$dir/flood" \
        >"$dir/flood.log" 2>&1 &
    flood_server=$!
    wait_for 10 test -S "$dir/flood.sock" || return 1
    say "floods: 9 of them"
    beside nothing &&
        beside "20000 silent connections" silent 20000 &&
        beside "5000 that send a byte each 200 ms" slow 5000 &&
        beside "256 that send heads of 64 KiB" heads 256 &&
        beside "10000 waiters for 100 locks" wait 10000 100 &&
        beside "10000 waiters for one lock" wait 10000 1 &&
        beside "64 that take lock after lock" take 64 &&
        beside "64 that release what was never held" give 64
    flood_rc=$?
    row "the server that lived through that, memory" \
        "$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$flood_server/status") MB" "-" "-" "-"
    kill $flood_server && wait $flood_server
    grep 'limit: ' "$dir/flood.log" >&2
    return $flood_rc
}

# ---- 5: a thousand locks in an agent ---------------------------------------------------

ticks() { # PID: user and system time in clock ticks
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}
memory() { # PID: "RSS PSS" in kB
    awk '/^Rss:/ { r = $2 } /^Pss:/ { p = $2 } END { print r, p }' \
        "/proc/$1/smaps_rollup"
}
name_of() {
    if [ "$1" = "$agent" ]; then
        echo watch
    elif readlink "/proc/$1/exe" | grep -q keeper; then
        echo keeper
    else
        echo guard
    fi
}
# POSTs that the server has answered with 200.
posts() {
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/7171
        printf "GET /metrics HTTP/1.1\r\nHost: localhost\r\n" >&3
        printf "Connection: close\r\n\r\n" >&3; timeout 5 cat <&3' |
        tr -d '\r' | awk '/^justalock_requests_total{method="POST",code="200"}/ {
            print $2; found = 1 } END { exit !found }'
}
part_agent() {
    start_server
    start_agent
    say "agent: 1000 held locks, then $WINDOW s"
    "$T/hold_many" /run/justalock/agent.sock 1000 >"$dir/hold" 2>&1 &
    hold=$!
    wait_for 60 grep -q held "$dir/hold" || {
        cat "$dir/hold" "$dir/agent.log" >&2
        return 1
    }
    sleep 2 # the first seconds' work is over
    pids="$agent $(pgrep -P "$agent" | tr '\n' ' ')"
    for p in $pids; do ticks "$p" >"$dir/ticks.$p"; done
    refreshes=$(posts) || return 1
    sleep "$WINDOW"
    refreshes=$(($(posts) - refreshes))
    [ "$refreshes" -gt 0 ] || {
        say "agent: no refresh in WINDOW=$WINDOW s: they come every 20 s"
        return 1
    }
    hz=$(getconf CLK_TCK)
    total=0 rss=0 pss=0 each='' cpu=''
    for p in $pids; do
        t=$(($(ticks "$p") - $(cat "$dir/ticks.$p")))
        # shellcheck disable=SC2046
        set -- $(memory "$p")
        total=$((total + t)) rss=$((rss + $1)) pss=$((pss + $2))
        cpu="$cpu$(name_of "$p") $((t * 1000000 / hz / refreshes)), "
        each="$each$(name_of "$p") $(($1 / 1024)).$(($1 % 1024 * 10 / 1024))/$(($2 / 1024)).$(($2 % 1024 * 10 / 1024)), "
    done
    row "agent: 1,000 held locks, CPU per refresh in us" "${cpu%, }" "-" \
        "together $((total * 1000000 / hz / refreshes)) us, $refreshes refreshes in $WINDOW s" "-"
    row "agent: 1,000 held locks, RSS/PSS in MB" "${each%, }" "-" \
        "together $((rss / 1024))/$((pss / 1024)) MB" "under 16 MB"
    kill $hold
    wait $hold 2>/dev/null
    return 0
}

# ---- 6: a login session ------------------------------------------------------------------

# The stacks: loginuid gives a login its audit session; su has none of its own.
part_pam() {
    [ -e "$B/lib/pam_justalock.so" ] || return 1
    start_server
    start_agent
    mkdir "$dir/pam.d"
    for s in none lock limits su-none su-lock; do
        {
            case $s in su-*) ;; *) echo "session required pam_loginuid.so" ;; esac
            case $s in
            *lock) echo "session required $B/lib/pam_justalock.so lock=bench" ;;
            limits) echo "session required pam_limits.so conf=$dir/limits" ;;
            esac
            echo "session required pam_permit.so"
        } >"$dir/pam.d/$s"
    done
    echo "* hard maxlogins 100" >"$dir/limits"
    "$T/pam_loop" "$dir/pam.d" nobody $((ROUNDS * 15)) none lock limits \
        >"$dir/pam" && "$T/pam_loop" "$dir/pam.d" nobody $((ROUNDS * 15)) \
        su-none su-lock >"$dir/pam2" || return 1
    # shellcheck disable=SC2046
    row "PAM: open and close a session, uncontended lock" \
        "$(show ms $(of "$dir/pam" lock))" "without $(show ms $(of "$dir/pam" none))" \
        "more: $(show ms $(of "$dir/pam" lock-first))" "3 ms more"
    # shellcheck disable=SC2046
    row "the same with pam_limits' maxlogins" "-" \
        "$(show ms $(of "$dir/pam" limits))" \
        "more: $(show ms $(of "$dir/pam" limits-first))" "-"
    # shellcheck disable=SC2046
    row "PAM: the same as su, which gets a cgroup" \
        "$(show ms $(of "$dir/pam2" su-lock))" \
        "without $(show ms $(of "$dir/pam2" su-none))" \
        "more: $(show ms $(of "$dir/pam2" su-lock-first))" "3 ms more"
}

# ---- all of it -------------------------------------------------------------------------

ip link set lo up || exit 1
mount -t tmpfs tmpfs /run || exit 1
mkdir -m 755 /run/justalock
printf '{"service": {"url": "%s"}, "locks": {"bench": {"for": "pam"}}}\n' \
    "$url" >"$config"
{
    echo "| measured | justalock | peer | ratio | target |"
    echo "|---|---|---|---|---|"
} >"$B/bench.md"
bad=0
for part; do
    [ "$part" != slurm ] || continue
    "part_$part" || {
        say "$part failed"
        row "$part" "failed" "-" "-" "-"
        bad=1
    }
done
# It takes its cgroups away.
[ -z "${agent:-}" ] || { kill "$agent" && wait "$agent"; } 2>/dev/null
exit $bad
