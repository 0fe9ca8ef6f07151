#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Three servers over an etcd of three members, each on a host of its own; holders
# know all three, or only one. While servers and members are killed, stopped and
# cut off, from each other and from the holders, the oracle judges:
#
#   short   one fault at a time, no longer than leases bear: no lock is lost
#   halves  the only member that the answering server asks is cut off from the
#           others; its holders are not cut off from it, until others have the locks
#   harsh   many faults at once, longer than leases
#
#   FAULT_SECONDS   of short and of harsh; 6
#   FAULT_SEED      else a new one, which is printed
#   FAULT_FIGURES   a folder for the figures

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/hosts.sh
. tests/lib/etcd.sh
agent_private "$0" "$@"
{ hosts_can && etcd_can; } || {
    skip "$0" "nft, ip, nsenter, etcd, etcdctl, curl or jq is not installed"
    tap_done
    exit 0
}
F=$B/tests/faults
J=$B/bin/justalock
SECS=${FAULT_SECONDS:-6}
SEED=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
LOCKS="h0 h1 h2 h3 h4 h5 h6 h7"
echo "# FAULT_SEED=$SEED FAULT_SECONDS=$SECS"

# What the holders know of server N is its proxy, which writes down what it
# grants; the servers themselves listen where only proxies get to.
url() { echo "http://127.0.0.1:820$1/"; }
urls() { # N: all of them, the Nth first
    echo "$(url "$1"),$(url $(($1 % 3 + 1))),$(url $((($1 + 1) % 3 + 1)))"
}
agent_conf '"lifetime": 20'
sed -i "s|\"unix:[^\"]*\"|\"$(urls 2)\"|" "$T/conf.json"

random() { # TEXT RANGE: a number below it, the same for the same seed
    awk -v s="$SEED" -v t="$1" -v r="$2" 'BEGIN {
        for (i = 1; i <= length(t); i++)
            s = (s * 31 + index("0123456789abcdefghijklmnopqrstuvwxyz", substr(t, i, 1))) % 1000003
        srand(s); rand(); print int(rand() * r) }'
}

# ---- what runs for ever -----------------------------------------------------------
server_forever() { # N
    while [ ! -e "$T/down" ]; do
        (exec nsenter --net="/run/netns/s$1" -- "$B/bin/justalock-server" \
            --listen "unix:$T/s$1.sock" --state "etcd://$(cat "$T/s$1.ends")" >>"$T/s$1.log" 2>&1) &
        echo $! >"$T/s$1.pid"
        wait $!
        sleep 0.1
    done
}
member_forever() { # N
    while [ ! -e "$T/down" ]; do
        etcd_member "$1"
        wait "$(cat "$T/m$1.pid")"
        sleep 0.5
    done
}

# ---- who holds --------------------------------------------------------------------
# A seeded choice: "LOCK LIFETIME MS SERVER FLAGS" of a holder's n-th work.
choice() { # PART HOLDER N
    awk -v part="$1" -v h="$2" -v s="$SEED$2" -v n="$3" 'BEGIN {
        srand(s * 1000 + n)
        lock = "h" int(rand() * 8)
        life = part == "short" ? 20 : 5 + int(rand() * 3)
        ms = rand() < 0.6 ? 1 + int(rand() * 300) : (part == "short" ? 5000 : 3000) + int(rand() * 4000)
        one = 1 + int(rand() * 3)
        if (part == "halves")
            life = 5
        if (part == "halves" && h % 3)
            ms = 1 + int(rand() * 300)
        else if (part == "halves") {
            lock = "h" h / 3
            ms = 20000
        }
        print lock, life, ms, one, rand() < 0.5 ? "" : "-f -d" }'
}
# A third through the agent; a third knows one server alone where locks may be
# lost.
holder() { # PART NUMBER
    n=0
    while [ ! -e "$T/stop" ]; do
        n=$((n + 1))
        choice "$1" "$2" $n >"$T/choice.$2"
        read -r lock life ms one flags <"$T/choice.$2"
        case $1.$(($2 % 3)) in
        harsh.0) how="--no-agent --url $(url "$one") -w 3s" ;;
        halves.0) how="--no-agent --url $(url "$half") -w 1s" ;;
        *.1) how="--socket /run/agent.sock -w 6s" ;;
        *) how="--no-agent --url $(urls "$one") -w 6s" ;;
        esac
        # shellcheck disable=SC2086
        "$J" run $how -t "$life" "$lock" \
            "$F/work" "$T/rec" $flags "$ms" </dev/null >>"$T/run.log" 2>&1
        echo "status $?" >>"$T/statuses"
    done
}

# ---- what is done to them -------------------------------------------------------------
pid_of() { cat "$T/$1.pid"; } # m1..m3, s1..s3, p1..p3
say_fault() { # KIND
    echo "fault $1 $(date +%s)000000000" >>"$T/history"
}
# For some seconds: stopped, or a kind of host_fault.
stop_for() { # SECONDS NAME
    say_fault "${2%[123]}-stopped"
    stop_pid=$(pid_of "$2")
    kill -STOP "$stop_pid"
    sleep "$1"
    kill -CONT "$stop_pid"
}
cut_for() { # SECONDS NAME KIND
    say_fault "${2%[123]}-$3"
    host_fault "$2" "$3"
    sleep "$1"
    host_mend "$2" "$3"
}
# A member that the servers reach and the other members do not: what it knows
# is old.
alone_for() { # SECONDS N
    say_fault m-alone
    host_apart "m$2" "1$(($2 % 3 + 1))" "1$((($2 + 1) % 3 + 1))"
    sleep "$1"
    host_mend "m$2" requests-lost
}
cut_kind() { # NUMBER
    case $1 in 0) echo link-down ;; 1) echo requests-lost ;; *) echo answers-lost ;; esac
}
harm() { # N SECONDS: the Nth fault
    harm_s=$(lead_of 1 2 3)
    [ -n "$harm_s" ] || harm_s=$(($(random "s$1" 3) + 1))
    harm_m=$(($(random "m$1" 3) + 1))
    harm_cut=$(cut_kind "$(random "c$1" 3)")
    case $(random "k$1" 12) in
    0) kill -TERM "$(pid_of "s$harm_s")" && say_fault s-TERM ;;
    1 | 2) kill -KILL "$(pid_of "s$harm_s")" && say_fault s-KILL ;;
    3 | 4) stop_for "$2" "s$harm_s" ;;
    5 | 6) cut_for "$2" "s$harm_s" "$harm_cut" ;;
    7) kill -KILL "$(pid_of "m$harm_m")" && say_fault m-KILL ;;
    8) stop_for "$2" "m$harm_m" ;;
    9) cut_for "$2" "m$harm_m" "$harm_cut" ;;
    10) alone_for "$2" "$harm_s" ;; # whom the server asks
    *) stop_for "$2" "p$harm_s" ;;
    esac 2>>"$T/harm.err"
}
one_leads() { [ -n "$(lead_of 1 2 3)" ]; }
short() {
    i=0
    while [ ! -e "$T/stop" ]; do
        i=$((i + 1))
        harm "a$i" "$(random "t$i" 2).$(random "u$i" 10)"
        wait_for 20 one_leads || echo "# nobody answers after fault $i"
        sleep "0.$(random "p$i" 9)"
    done
}
halves() {
    sleep 1 # they hold
    (sleep 12 && touch "$T/stop") & # nobody begins when it is over
    alone_for 13 "$half"
}
harsh() {
    i=0
    while [ ! -e "$T/stop" ]; do
        i=$((i + 1))
        (harm "b$i" "$(random "t$i" 10).$(random "u$i" 10)") &
        sleep "$(random "v$i" 5).$(random "p$i" 9)"
    done
    wait
}
mend_all() {
    for h in s1 s2 s3 m1 m2 m3; do
        host_mend $h link-down
        host_mend $h requests-lost
        kill -CONT "$(pid_of $h)"
    done 2>>"$T/harm.err"
}

# ---- the run -----------------------------------------------------------------------------
takable() {
    "$J" run --no-agent --url "$(urls 1)" -t 10 -w 60s "$1" "$F/work" "$T/rec" 1 2>>"$T/take.err"
}
enough() { [ "$(grep -c ^end "$T/history")" -ge 12 ]; }
ended() { [ "$(grep -c ^start "$T/history")" = "$(grep -c ^end "$T/history")" ]; }
value() { sed -n "s/^$1 //p" "$T/figures"; }
faults() { grep ^fault "$T/history" | cut -d ' ' -f 2 | sort | uniq -c; }
proxies() { # MODE
    for k in 1 2 3; do
        tests/faults/proxy --listen 820$k --server "$T/s$k.sock" --seed "$SEED$k" --mode "$1" \
            --history "$T/history" >"$T/p$k.counts" 2>>"$T/proxy.log" &
        echo $! >"$T/p$k.pid"
    done
    for k in 1 2 3; do wait_for 10 curl -s -m 1 -o "$T/page" "$(url $k)healthz"; done
}

part() { # short|halves|harsh
    : >"$T/history"
    : >"$T/statuses"
    chmod 666 "$T/history"
    rm -f "$T/stop" "$T/rec" "$T"/rec.*
    "$F/recorder" "$T/rec" "$T/history" 2>"$T/recorder.log" &
    recorder=$!
    wait_for 10 test -S "$T/rec"
    case $1 in harsh) proxies passing ;; *) proxies calm ;; esac
    holders=
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        holder "$1" $i &
        holders="$holders $!"
    done
    "$1" &
    harm=$!
    [ "$1" = halves ] || {
        sleep "$SECS"
        wait_for 90 enough # a slow machine needs longer for as many
    }
    [ "$1" != halves ] || wait $harm
    touch "$T/stop"
    wait $harm
    mend_all
    kill -USR1 "$(pid_of p1)" "$(pid_of p2)" "$(pid_of p3)"
    for l in $LOCKS; do
        ok "$1: $l can be taken when the faults have stopped" takable $l
    done
    # shellcheck disable=SC2086
    wait $holders
    ok "$1: all works have ended" wait_for 60 ended
    kill "$(pid_of p1)" "$(pid_of p2)" "$(pid_of p3)" $recorder
    wait "$(pid_of p1)" "$(pid_of p2)" "$(pid_of p3)" $recorder 2>/dev/null
    grep -v ^fault "$T/history" >"$T/judged"
    ok "$1: the oracle finds nothing wrong" \
        eval "tests/faults/oracle --least 10 '$T/judged' >'$T/figures'"
    is "$1: neither did the programs that watch" "$(cat "$T/proxy.log" "$T/recorder.log")" ""
    sed "s/^/# $1: /" "$T/figures"
    faults | sed "s/^/# $1: /"
    echo "# $1: $(sort "$T/statuses" | uniq -c | tr -s ' \n' ' ')"
    ok "$1: the servers' leases were seen" [ "$(value leases)" -ge 10 ]
    [ -z "${FAULT_FIGURES:-}" ] || {
        cat "$T/figures"
        faults | awk '{ print "fault", $2, $1 }'
    } >"$FAULT_FIGURES/ha-$1"
    [ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/$1.history"
}

for k in 1 2 3; do
    host_join s$k $k && host_join m$k 1$k || echo "# no host $k"
done
for k in 1 2 3; do member_forever $k 2>>"$T/killed" & done
ok "etcd of three members" wait_for 30 etcd_healthy
for k in 1 2 3; do
    echo "$(etcd_at $k):237$k" >"$T/s$k.ends"
    server_forever $k 2>>"$T/killed" &
done
ok "one of three servers answers" wait_for 20 one_leads
agent_start
# Each server asks one member, as if there were no other; then all.
half=$(lead_of 1 2 3)
part halves
ok "halves: the half without the other members lost its locks" \
    [ "$(grep -c 'status 79' "$T/statuses")" -ge 4 ]
for k in 1 2 3; do
    etcd_ends $k >"$T/s$k.ends"
    kill "$(pid_of s$k)"
done
ok "a server that knows all members answers" wait_for 20 one_leads
part short
is "short: no lock was lost" "$(value cut)" 0
grep 'lost lock' "$T/run.log" | sed 's/^/# /'
ok "short: $(grep -c ^fault "$T/history") faults" [ "$(grep -c ^fault "$T/history")" -gt $((SECS / 4)) ]
part harsh
tap_done
