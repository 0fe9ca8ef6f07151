#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `justalock run` without an agent, while each of its three processes (front,
# back, keeper) is killed and stopped in turn, with the service there and with
# the service cut: no process of the command is alive when the lease ends, as
# the server counts it.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
J=$B/bin/justalock
export JUSTALOCK_CONFIG="$T/conf.json"
LIFE=4000 # ms
service_start
ticks

# A command that is hard to end: three processes, two of them deaf to TERM,
# one of these in a session of its own whose parent is gone.
cat >"$T/hydra" <<'END'
#!/bin/sh
trap : TERM
(setsid "$0.ticks" "$1.away" deaf &)
"$0.ticks" "$1.deaf" deaf &
"$0.ticks" "$1.main"
END
chmod 755 "$T/hydra"
ln -s "$T/ticks" "$T/hydra.ticks"

all_tick() { is_ticking "$1.main" && is_ticking "$1.deaf" && is_ticking "$1.away"; }
none_ticks() { ! is_ticking "$1.main" && ! is_ticking "$1.deaf" && ! is_ticking "$1.away"; }
last_of() { cat "$1".main "$1".deaf "$1".away | sort -n | tail -n 1; }
child_of() { # PID NAME
    ps -e -o pid=,ppid=,comm= | awk -v p="$1" -v c="$2" '$2 == p && $3 == c { print $1; exit }'
}
part() { # front|back|keeper
    case $1 in
    front) echo "$front" ;;
    back) child_of "$front" justalock ;;
    keeper) child_of "$front" justalock-keepe ;;
    esac
}
ours_left() {
    ps -e -o stat=,comm= | awk '$1 !~ /^Z/ && $2 ~ /^justalock/ &&
        $2 !~ /^justalock-serv/' | wc -l
}
none_left() { [ "$(ours_left)" = 0 ]; }
state() { "$J" status --json "$1" | jq -r .state; }
is_free_at_service() { [ "$(state "$1")" = free ]; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }

begin() { # LOCK [LIFETIME]: sets $front $back $keeper $w
    w=$T/$1
    "$J" run -t "${2:-4s}" "$1" "$T/hydra" "$w" 2>"$w.err" &
    front=$!
    wait_for 20 all_tick "$w" || echo "# $1 does not start"
    back=$(part back) keeper=$(part keeper)
}
# Right after a refresh, so that none comes between this look and what the
# test does next: sets $expiry, ms of the wall clock, never too late.
fresh() { # LOCK
    while :; do
        fresh_at=$(now_ms)
        fresh_left=$("$J" status --json "$1" | jq .expires_ms)
        [ "${fresh_left:-0}" -gt $((LIFE - 700)) ] && break
        sleep 0.05
    done
    expiry=$((fresh_at + fresh_left))
}
dead_in_time() { # TEXT
    ok "$1: all of the work ends" wait_for 10 none_ticks "$w"
    last=$(last_of "$w")
    ok "$1: dead before the lease ends ($((expiry - last)) ms)" \
        [ "$last" -lt "$expiry" ]
}
finish() { # TEXT: the service comes back, nothing is left
    kill -CONT "$SERVICE" 2>/dev/null
    ok "$1: nothing of ours is left" wait_for 20 none_left
    ok "$1: the lock is free" wait_for 20 is_free_at_service "${w##*/}"
}

# ---- the service is cut
begin cut
fresh cut
service_cut
dead_in_time "service cut"
wait "$front"
is "service cut: the status" $? 79
like "service cut: said" "$(cat "$w.err")" 'lost lock cut: .*ending'
finish "service cut"

for who in front back keeper; do
    for how in KILL STOP; do
        name="$who-$how"
        begin "$name"
        victim=$(part $who)
        fresh "$name"
        kill -$how "$victim"
        service_cut
        dead_in_time "$who gets $how, service cut"
        if [ "$who-$how" = front-STOP ]; then
            kill -CONT "$front"
        fi
        wait "$front" 2>/dev/null
        rc=$?
        [ "$who-$how" = front-KILL ] ||
            # 80 where a loaded machine came too late to look in time.
            like "$who gets $how, service cut: the status" $rc '^(79|80)$'
        finish "$who gets $how, service cut"
    done
done

# ---- the service is there
begin k1
kill -KILL "$keeper"
sleep 5
ok "keeper killed: the work goes on past its lease" all_tick "$w"
is "keeper killed: the lock is held" "$(state k1)" held
ok "keeper killed: another one keeps it" [ -n "$(child_of "$back" justalock-keepe)" ]
kill -KILL "$(child_of "$back" justalock-keepe)"
sleep 5
ok "keeper killed twice: the work goes on" all_tick "$w"
kill -TERM "$front"
pkill -KILL -P "$back" -f ticks
wait_for 5 test ! -e /nonexistent || :
for f in main deaf away; do
    pid=$(pgrep -f "ticks $w.$f" | head -n 1)
    [ -z "$pid" ] || kill -KILL "$pid"
done
wait "$front"
ok "keeper killed twice: ends with its work ($?)" wait_for 5 none_ticks "$w"
finish "keeper killed twice"

# It is seen after half a lease and half a second: a longer one leaves room for
# the next keeper on a busy machine.
begin k2 12s
kill -STOP "$keeper"
sleep 14
ok "keeper stopped: the work goes on past its lease" all_tick "$w"
is "keeper stopped: the lock is held" "$(state k2)" held
ok "keeper stopped: it was replaced" is_gone "$keeper"
kill -KILL "$front"
ok "front killed: the work ends" wait_for 5 none_ticks "$w"
finish "front killed"

begin b1
fresh b1
kill -KILL "$back"
dead_in_time "back killed"
wait "$front"
is "back killed: the status" $? 79
like "back killed: said" "$(cat "$w.err")" 'lost lock b1: our second process was killed'
finish "back killed"

begin b2
fresh b2
kill -STOP "$back"
wait "$front"
is "back stopped: the status" $? 79
none_ticks "$w" || sleep 0.5
ok "back stopped: the work is dead" none_ticks "$w"
finish "back stopped"

begin f1
kill -STOP "$front"
sleep 5
ok "front stopped: the work goes on past its lease" all_tick "$w"
is "front stopped: the lock is held" "$(state f1)" held
kill -CONT "$front"
for f in main deaf away; do
    kill -KILL "$(pgrep -f "ticks $w.$f" | head -n 1)"
done
wait "$front"
ok "front continued: it returns a status ($?)" true
finish "front continued"

# All of ours at once: what is left is the command's children at most.
begin all
kill -KILL "$front" "$back" "$keeper"
ok "all three killed: the command itself is killed with them" \
    wait_for 5 eval '! pgrep -f "hydra $w" >/dev/null'
pkill -KILL -f "ticks $w"
wait "$front" 2>/dev/null
finish "all three killed"

# Waiting: nothing may start once who asked for it is gone.
begin w1
"$J" run w1 touch "$T/late" 2>"$T/wait.err" &
waiter=$!
ok "a waiter waits" wait_for 10 grep -q 'waiting for w1' "$T/wait.err"
kill -KILL $waiter
kill -KILL "$front"
ok "front of a waiter killed: nothing of ours is left" wait_for 10 none_left
ok "front of a waiter killed: its command never starts" [ ! -e "$T/late" ]
tap_done
