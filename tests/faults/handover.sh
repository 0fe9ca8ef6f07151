#!/bin/sh
# SPDX-License-Identifier: MIT
#
# How long until the next one works, after each kind of crash: somebody holds
# a lock, another waits for it, something of the holder's is killed. Where the
# work lives on, it ends at the same time, so that what is measured is how
# long the others take to be there again. No crash costs more than the lease.
#
#   FAULT_ROUNDS    of each kind; 1
#   FAULT_FIGURES   a folder for the figures

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/crash.sh
. tests/lib/logins.sh
agent_private "$0" "$@"
logins_private "session required $B/lib/pam_justalock.so lock=h-sshd socket=/run/agent.sock services=sshd on_unreachable=closed"
F=$B/tests/faults
J=$B/bin/justalock
agent_conf '"lifetime": 10' '"locks": { "h-sshd": { "for": ["pam", "command"] } }'
sed -i 's|"unix:[^"]*"|"http://127.0.0.1:7272/"|' "$T/conf.json"
server_forever 7171 &
judge_start 7272 7171
agent_forever &
wait_for 20 agent_answers
sshd_start

cat >"$T/until" <<'END'
#!/bin/sh
while [ ! -e "$1" ]; do sleep 0.02; done
echo "done $WORK_LOCK $WORK_NAME 0" >>"$2"
END
chmod 755 "$T/until"
id_of() { "$J" id "$1"; }
works_are() { [ "$(grep -c "^start $(id_of "$1") " "$T/history")" = "$2" ]; }
waits() {
    curl -s -m 1 "http://127.0.0.1:7171/v1/locks/$(id_of "$1")" |
        grep -q '"waiters": *1'
}
front_of() { pgrep -f "^$J run --config $T/conf.json -t 10 $1 " | head -n 1; }
# A pattern of what it was started as, below the front.
below() { pgrep -P "$(front_of "$1")" -x "$2"; }
holds() { # KIND LOCK: in the background
    hd_kind=$1 hd_lock=$2
    set -- env WORK_LOCK="$(id_of "$2")" "$F/work" "$T/rec" -- "$T/until" \
        "$T/go" "$T/history"
    case $hd_kind in
    front | back | own-keeper | command)
        exec "$J" run --config "$T/conf.json" -t 10 "$hd_lock" "$@" ;;
    sshd) ssh_run alice "$*" ;;
    *) exec "$J" run --socket /run/agent.sock "$hd_lock" "$@" ;;
    esac >>"$T/run.log" 2>&1 </dev/null
}
victims() { # KIND LOCK
    case $1 in
    watch | guard | keeper | server) pid_of "$1" ;;
    agent) echo "$(agent_pid watch) $(agent_pid guard) $(agent_pid keeper)" ;;
    owner) pgrep -f "^$J run --socket /run/agent.sock $2 " ;;
    agents-command | command) pgrep -f "^/bin/sh $T/until" ;;
    front) front_of "$2" ;;
    back) below "$2" justalock ;;
    own-keeper) below "$2" justalock-keepe ;;
    sshd) pgrep -x sshd | grep -vx "$(cat "$T/sshd.pid")" ;;
    esac
}
# What was started anew a moment ago may have been replaced once more.
kill_victims() { # KIND LOCK
    # shellcheck disable=SC2046
    kill -KILL $(victims "$1" "$2")
}
cr_failed() { # WHY
    echo "# $1"
    : >"$T/go"
    return 1
}
crash() { # KIND LOCK
    rm -f "$T/go"
    cr_n=$(grep -c "^start $(id_of "$2") " "$T/history")
    holds "$1" "$2" &
    cr_first=$!
    wait_for 20 works_are "$2" $((cr_n + 1)) || cr_failed "it does not start" || return 1
    "$J" run --config "$T/conf.json" -t 10 -w 40s "$2" "$F/work" "$T/rec" 20 \
        2>>"$T/run.log" &
    cr_second=$!
    wait_for 20 waits "$2" || cr_failed "nobody waits" || return 1
    cr_work=$(awk -v l="$(id_of "$2")" '$1 == "start" && $2 == l { w = $3 } END { print w }' "$T/history")
    case $1 in # whose death is that of the work
    front | back | owner | command | agents-command) cr_go=false ;;
    *) cr_go=touch cr_work='' ;;
    esac
    echo "fault $1 $(raw_ns) $(id_of "$2") $cr_work" >>"$T/history"
    wait_for 5 kill_victims "$1" "$2" || cr_failed "nothing to kill" || return 1
    $cr_go "$T/go"
    wait $cr_second || cr_failed "status $?" || return 1
    wait $cr_first
    wait_for 20 agent_answers
}
KINDS="watch guard keeper server agent owner agents-command sshd front back
    own-keeper command"
round=0
while [ $round -lt "${FAULT_ROUNDS:-1}" ]; do
    round=$((round + 1))
    for kind in $KINDS; do
        lock=h-$kind-$round
        [ $kind != sshd ] || lock=h-sshd
        [ $kind != sshd ] || {
            : >"$T/rec.$(id_of $lock)"
            chmod 666 "$T/rec.$(id_of $lock)"
        }
        ok "$kind is killed: the next one works" crash $kind $lock
    done
done
ok "all works have ended" judge_end
ok "the oracle finds nothing wrong" \
    eval "tests/faults/oracle --least 20 '$T/history' >'$T/figures'"
sed 's/^/# /' "$T/figures"
for kind in $KINDS; do
    ms=$(sed -n "s/^fault $kind [0-9]* [0-9]* [0-9.]* \([0-9]*\).*/\1/p" "$T/figures")
    ok "$kind: no more than the lease, ${ms:-?} ms" [ "${ms:-99999}" -lt 10000 ]
done
[ -z "${FAULT_FIGURES:-}" ] || cp "$T/figures" "$FAULT_FIGURES/handover"
[ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T/history" "$JUSTALOCK_KEEP/"
ok "a stop at the end leaves no process of ours" forever_end
tap_done
