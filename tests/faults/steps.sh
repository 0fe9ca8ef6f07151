#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each process of agent, server and `justalock run` is killed at each point of
# acquire, wait, hold, refresh, release: a point is before or after one of its
# system calls (tests/faults/step.c). A round is a lock that is taken, waited
# for, given back and handed over, while others are held and refreshed; then
# one process is killed at one point, and started again by who does that. No
# part of agent or server may cost anybody a lock or a turn; of what else dies
# the work dies with it, in time; the oracle judges.
#
#   FAULT_POINTS    of each process, spread over its run; 5, FAULT_LONG=1: all
#   FAULT_SEED      which ones; else a new one, which is printed
#   FAULT_SIGNAL    KILL; or SEGV, ABRT, which `justalock run` passes on

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/crash.sh
agent_private "$0" "$@"
# shellcheck disable=SC3045 # dash and bash know it
ulimit -c 0
F=$B/tests/faults
J=$B/bin/justalock
SEED=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
POINTS=${FAULT_POINTS:-5}
[ -z "${FAULT_LONG:-}" ] || POINTS=${FAULT_POINTS:-100000}
SIGNAL=${FAULT_SIGNAL:-KILL}
AGENT="watch guard keeper server"
ALONE="front back own-keeper"
BESIDE="1 2 3 4 5 6 7 8 9 10 11 12"
echo "# FAULT_SEED=$SEED FAULT_POINTS=$POINTS FAULT_SIGNAL=$SIGNAL"
# Long, for a loaded machine; what is held beside is refreshed all the time.
agent_conf '"lifetime": 20'
# The agent's server may be killed; that of the commands without one is not.
sed -i 's|"unix:[^"]*"|"http://127.0.0.1:7272/"|' "$T/conf.json"
sed 's|:7272/|:7274/|' "$T/conf.json" >"$T/alone.json"
server_forever 7171 &
server_forever 7173 &
judge_start 7272 7171
judge_start 7274 7173
# shellcheck disable=SC2034 # for agent_forever
AGENT_PAUSE=2
agent_forever &
wait_for 20 agent_answers

cat >"$T/until" <<'END'
#!/bin/sh
while [ ! -e "$1" ]; do sleep 0.02; done
echo "done $JUSTALOCK_ID $WORK_NAME 0" >>"$2"
END
chmod 755 "$T/until"
run() { # agent|alone LOCK COMMAND...
    run_lock=$2
    case $1 in
    agent) set -- --socket /run/agent.sock -- "$@" ;;
    alone) set -- --config "$T/alone.json" -t 3 -- "$@" ;;
    esac
    run_how="$1 $2"
    [ "$3" = -- ] || run_how="$1 $2 $3 $4"
    while [ "$1" != -- ]; do shift; done
    shift 3
    # shellcheck disable=SC2086
    "$J" run $run_how -w 30s "$run_lock" "$@" >>"$T/run.log" 2>&1 </dev/null
}
id_of() { "$J" id "$1"; }
started() { grep -q "^start $(id_of "$1") " "$T/history"; }
waits() { # LOCK PORT
    curl -s -m 1 "http://127.0.0.1:$2/v1/locks/$(id_of "$1")" |
        grep -q '"waiters": *1'
}

# A round: NAME-POINT is the lock; appends "NAME POINT HIT STATUS STATUS MS" to
# rounds: what step says, how the first and the second holder ended, how long.
round() { # agent|alone NAME POINT
    rd_lock=$2-$3 rd_port=7171 rd_ms=$(now_ms)
    rd=$T/$rd_lock
    : >"$rd.step"
    set -- "$@" "$F/work" "$T/rec" -- "$T/until" "$rd.go" "$T/history"
    case $2 in
    front | back | own-keeper)
        rd_port=7173
        case $2 in front) rd_child= ;; own-keeper) rd_child='-c 1' ;; back) rd_child='-c 2' ;; esac
        rd_point=$3
        shift 3
        # shellcheck disable=SC2086
        "$F/step" -o "$rd.step" $rd_child "$rd_point" $SIGNAL -- "$J" run \
            --config "$T/alone.json" -t 3 -w 30s "$rd_lock" "$@" \
            >>"$T/run.log" 2>&1 </dev/null &
        rd_first=$! rd_step=
        set -- alone "${rd_lock%-*}" "$rd_point"
        ;;
    *)
        "$F/step" -o "$rd.step" "$3" $SIGNAL -p "$(pid_of "$2")" 2>>"$T/step.log" &
        rd_step=$!
        wait_for 5 test -s "$rd.step"
        rd_point=$3
        rd_name=$2
        shift 3
        run agent "$rd_lock" "$@" &
        rd_first=$!
        set -- agent "$rd_name" "$rd_point"
        ;;
    esac
    # Where it is killed before its work begins there is no start.
    rd_left=400
    until started "$rd_lock" || ! is_up $rd_first || [ $rd_left = 0 ]; do
        rd_left=$((rd_left - 1))
        sleep 0.05
    done
    run "$1" "$rd_lock" "$F/work" "$T/rec" 20 &
    rd_second=$!
    wait_for 1 waits "$rd_lock" $rd_port
    [ "$1" = agent ] || sleep 0.9 # its lock is refreshed at a quarter of 3 s
    : >"$rd.go"
    wait $rd_first
    rd_a=$?
    wait $rd_second
    rd_b=$?
    [ -z "$rd_step" ] || {
        kill $rd_step 2>/dev/null
        wait $rd_step
    }
    # Nothing where it was gone before it could be traced.
    rd_hit=$(sed -n 's/^\(hit\|end\) /\1 /p' "$rd.step" | tr ' ' '_')
    echo "$2 $3 ${rd_hit:-none} $rd_a $rd_b $(($(now_ms) - rd_ms))" \
        >>"$T/rounds.$1"
    rm -f "$rd.go" "$rd.step"
}
# The first round of each only counts; then which points: some beyond its
# count, since it may run longer another time.
choose() { # agent|alone NAME...
    ch_how=$1
    shift
    for ch_name in "$@"; do
        round "$ch_how" "$ch_name" 0
        awk -v name="$ch_name" -v seed="$SEED" -v want="$POINTS" '
            $1 == name { split($3, w, "_"); n = int(w[2] * 1.05) + 1 }
            END { srand(seed + length(name))
                if (want >= n) { for (i = 1; i <= n; i++) print i; exit }
                for (i = 0; i < want; i++) {
                    p = int(n * (i + rand()) / want) + 1
                    if (p != last) print p
                    last = p
                } }' \
            "$T/rounds.$ch_how" >"$T/points.$ch_name"
    done
}
# Every OF-th point, the FIRST at first; each process in turn, so that none
# is killed twice in a short time.
lane() { # FIRST OF agent|alone NAME...
    ln_i=$1 ln_of=$2 ln_how=$3
    shift 3
    ln_any=yes
    while [ -n "$ln_any" ]; do
        ln_any=
        for ln_name in "$@"; do
            ln_point=$(sed -n "${ln_i}p" "$T/points.$ln_name")
            [ -n "$ln_point" ] || continue
            ln_any=yes
            round "$ln_how" "$ln_name" "$ln_point"
        done
        ln_i=$((ln_i + ln_of))
    done
}
agent_rounds() {
    choose agent $AGENT
    lane 1 1 agent $AGENT
}
# Each has processes of its own: some at the same time.
alone_rounds() {
    choose alone $ALONE
    lane 2 3 alone $ALONE &
    alone_lanes=$!
    lane 3 3 alone $ALONE &
    lane 1 3 alone $ALONE
    wait $! $alone_lanes
}

for i in $BESIDE; do
    run agent "beside-$i" "$F/work" "$T/rec" -- "$T/until" "$T/go" "$T/history" &
    beside="${beside:-} $!"
done
all_started() { [ "$(grep -c ^start "$T/history")" -ge 12 ]; }
ok "twelve locks are held beside" wait_for 30 all_started
agent_rounds &
agent_lane=$!
alone_rounds &
wait $! $agent_lane
lost=0
: >"$T/go"
for pid in $beside; do
    wait "$pid" || lost=$((lost + 1))
done
is "those are kept all the time" $lost 0
for name in $AGENT $ALONE; do
    cat "$T"/rounds.* | awk -v n="$name" '$1 == n' >"$T/of"
    ok "$name: $SIGNAL at $(grep -c ' hit_' "$T/of") points of $(awk '$2 == 0 {
        split($3, w, "_"); print w[2] }' "$T/of")" grep -q ' hit_' "$T/of"
    case $name in
    front | back)
        is "$name: the next one has its turn" \
            "$(awk '$5 != 0' "$T/of" | head -n 3)" "" ;;
    *)
        is "$name: no lock and no turn is lost" \
            "$(awk '$4 != 0 || $5 != 0' "$T/of" | head -n 3)" "" ;;
    esac
    echo "# $name: $(awk '$3 ~ /^hit/ { n[$4 " " $5]++ } END {
        for (i in n) printf "%d times %s, ", n[i], i }' "$T/of")" \
        "longest $(sort -k6n "$T/of" | tail -n 1)"
done
ok "all works have ended" judge_end
ok "the oracle finds nothing wrong" \
    eval "tests/faults/oracle --least 20 '$T/history' >'$T/figures'"
is "neither did the programs that watch" \
    "$(cat "$T/recorder.log" "$T/proxy.log")" ""
sed 's/^/# /' "$T/figures"
idle() { [ "$(client list | grep -c '^item')" = 0 ]; }
ok "the agent holds nothing" wait_for 20 idle
[ -z "${FAULT_FIGURES:-}" ] || {
    cat "$T/figures"
    awk -v lost=$lost '$1 !~ /front|back/ && ($4 != 0 || $5 != 0) { lost++ }
        $3 ~ /^hit/ { n[$1]++ }
        END { print "lost", lost
            for (i in n) print "fault", i "-at-a-point", n[i] }' "$T"/rounds.*
} >"$FAULT_FIGURES/steps"
[ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$T"/rounds.* "$JUSTALOCK_KEEP/"
ok "a stop at the end leaves no process of ours" forever_end
is "and no cgroup" "$(agent_cgroups)" ""
tap_done
