#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Hosts of their own network namespaces, each with an agent, each with its own
# fault of the network: holders whose host is cut off are dead in time, alone,
# through the agent, and as jobs; others take over; waiters that vanish are passed
# over, and get their turn when they are back; what is short is no loss.

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/hosts.sh
agent_private "$0" "$@"
F=$B/tests/faults
J=$B/bin/justalock
hosts_can || {
    skip "$0" "nft, ip or nsenter is not installed"
    tap_done
    exit 0
}

# Each host has the fault of its name; the last one has none.
FAULTS="link-down cable-out blackhole no-way-back requests-lost answers-lost"
HOSTS="$FAULTS well"
fault() { host_fault "$1" "$1"; }
mend() { host_mend "$1" "$1"; }

"$B/bin/justalock-server" --listen 127.0.0.1:7171 \
    --listen "unix:$T/srv.sock" --state "$T/srv" >>"$T/srv.log" 2>&1 &
wait_for 10 test -S "$T/srv.sock"
: >"$T/history"
chmod 666 "$T/history"
"$F/recorder" "$T/rec" "$T/history" &
# Calm: it only tells what the server granted.
tests/faults/proxy --bind 0.0.0.0 --listen 7272 --server 7171 --seed 1 \
    --mode calm --history "$T/history" >"$T/counts" 2>"$T/proxy.log" &
proxy=$!
k=0
for f in $HOSTS; do
    k=$((k + 1))
    host_make "$f" $k || echo "# $f: no host"
    sed "s|\"unix:[^\"]*\"|\"http://10.9.$k.1:7272/\"|" "$T/conf.json" \
        >"$T/$f.json"
    on "$f" "$B/bin/justalock-agent" --config "$T/$f.json" --keeper-user nobody \
        --socket "/run/$f.sock" --state "$T/state.$f" >>"$T/$f.log" 2>&1 &
done
agent_is_there() { "$B/tests/agent/wire_client" "/run/$1.sock" ping >/dev/null 2>&1; }
for f in $HOSTS; do
    ok "$f has an agent" wait_for 20 agent_is_there "$f"
done

# run HOST alone|agent LIFETIME LOCK OPTION...: a work that is hard to kill
run() {
    run_how="--config $T/$1.json"
    [ "$2" = alone ] || run_how="--socket /run/$1.sock"
    run_host=$1 run_life=$3 run_lock=$4
    shift 4
    # shellcheck disable=SC2086
    on "$run_host" "$J" run $run_how -t "$run_life" "$run_lock" \
        "$F/work" "$T/rec" "$@" >>"$T/$run_host.$run_lock.log" 2>&1 </dev/null
}
lock_id() { "$J" id "$1"; }
work_of() { # LOCK: its last work
    awk -v l="$(lock_id "$1")" '$1 == "start" && $2 == l { w = $3 } END { print w }' "$T/history"
}
works() { # LOCK: how many began
    grep -c "^start $(lock_id "$1") " "$T/history"
}
works_are() { [ "$(works "$1")" = "$2" ]; }
waits() { # LOCK N: so many wait for it
    [ "$(curl -s --unix-socket "$T/srv.sock" "http://x/v1/locks/$(lock_id "$1")" |
        jq .waiters)" = "$2" ]
}
lives() { ! grep -q "^end $(lock_id "$1") $2 " "$T/history"; }
ended() { [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]; }
raw_ns() { python3 -c 'import time
print(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))'; }
value() { sed -n "s/^$1 //p" "$T/figures"; }

# A job as its agent sees it; the lifetime is the configuration's, 10 s.
cat >"$T/job" <<END
#!/bin/sh
set -- \$(sed -n 's/^verdict .* token=\([0-9]*\) ids=\([^ ]*\).*/\1 \2/p' "\$1")
WORK_TOKEN=\$1 WORK_LOCK=\$2 exec "$F/work" "$T/rec" -f -d 0
END
chmod 755 "$T/job"
start_job() { # HOST
    set -- "$1" "$B/tests/agent/wire_client" "/run/$1.sock"
    "$2" "$3" begin job=7 uid=0 locks="job-$1" >/dev/null
    "$2" "$3" task job=7 uid=0 locks="job-$1" -- "$T/job" "$T/$1.job" \
        >"$T/$1.job" 2>&1 </dev/null
}

# ---- the holder's host
HOWS="alone agent job"
for f in $FAULTS; do
    for how in alone agent; do
        run "$f" $how 8 "$how-$f" -f -d 0 &
    done
    start_job "$f" &
done
for f in $FAULTS; do
    for how in $HOWS; do
        wait_for 20 works_are "$how-$f" 1 || echo "# $how-$f does not start: $(cat "$T/$f.job")"
    done
done
for f in $FAULTS; do fault "$f"; done
sleep 1
for f in $FAULTS; do mend "$f"; done
sleep 6 # TERM is due 5.6 s after the last refresh
for f in $FAULTS; do
    for how in $HOWS; do
        ok "$f for a second, $how: the work lives on" lives "$how-$f" "$(work_of "$how-$f")"
    done
done
for f in $FAULTS; do
    for how in $HOWS; do
        run well alone 8 "$how-$f" 50 &
    done
done
for f in $FAULTS; do
    for how in $HOWS; do
        wait_for 20 waits "$how-$f" 1 || echo "# nobody waits for $how-$f"
        work_of "$how-$f" >"$T/$how-$f.work"
    done
done
for f in $FAULTS; do
    fault "$f"
    ns=$(raw_ns)
    for how in $HOWS; do
        echo "fault $f-$how $ns $(lock_id "$how-$f") $(cat "$T/$how-$f.work")" >>"$T/history"
    done
done
for f in $FAULTS; do
    for how in $HOWS; do
        ok "$f, $how: another takes over" wait_for 30 works_are "$how-$f" 2
        ok "$f, $how: the work is dead" \
            eval "! lives '$how-$f' '$(cat "$T/$how-$f.work")'"
    done
done
for f in $FAULTS; do mend "$f"; done

# ---- the waiter's host: it vanishes, the lock is let go, another waits behind
cat >"$T/until" <<'END'
#!/bin/sh
while [ -e "$1" ]; do sleep 0.05; done
echo "done $JUSTALOCK_ID $WORK_NAME 0" >>"$2"
END
chmod 755 "$T/until"
touch "$T/hold"
for f in $FAULTS; do
    run well alone 8 "wait-$f" -- "$T/until" "$T/hold" "$T/history" &
done
for f in $FAULTS; do
    wait_for 20 works_are "wait-$f" 1
done
for f in $FAULTS; do
    run "$f" alone 8 "wait-$f" 50 &
done
for f in $FAULTS; do
    wait_for 20 waits "wait-$f" 1 || echo "# nobody waits on $f"
done
for f in $FAULTS; do
    run well alone 8 "wait-$f" 50 &
done
for f in $FAULTS; do
    wait_for 20 waits "wait-$f" 2 || echo "# nobody waits behind $f"
    fault "$f"
done
rm "$T/hold"
for f in $FAULTS; do
    ok "$f, waiter: the one behind it has its turn" wait_for 30 works_are "wait-$f" 2
done
sleep 2
for f in $FAULTS; do
    ok "$f, waiter: nothing of it has started" works_are "wait-$f" 2
    mend "$f"
done
for f in $FAULTS; do
    ok "$f, waiter: back again, it has its turn" wait_for 40 works_are "wait-$f" 3
done

ok "all works have ended" wait_for 20 ended
kill $proxy
tests/faults/oracle --least 54 --spare 100 "$T/history" >"$T/figures"
is "the oracle finds nothing wrong" $? 0
is "those that were cut off lost their locks, nobody else" \
    "$(value cut) $(value unmeant)" "18 0"
sed 's/^/# /' "$T/figures"
[ -z "${FAULT_FIGURES:-}" ] || cp "$T/figures" "$FAULT_FIGURES/net"
[ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/"
tap_done
