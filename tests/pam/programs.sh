#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pam_justalock in the real sshd, su, sudo and login: granted, refused, how a
# session ends, what survives it, and what is killed.

# shellcheck disable=SC2016
. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/logins.sh
agent_private "$0" "$@"
logins_private "session required ${MODULES:-$B/lib}/pam_justalock.so lock=shell socket=/run/agent.sock services=sshd,su,su-l,sudo,sudo-i,login"

agent_conf '"lifetime": 20' '"locks": {"shell": {"for": ["pam"]},
    "kill": {"for": ["pam"], "on_end": "kill", "grace": "500ms"},
    "free": {"for": ["pam"], "on_end": "release"},
    "one/%u": {"for": ["pam"], "share": "host"},
    "line": {"for": ["pam"], "wait": "3s"},
    "jobs": {"for": ["slurm"]}, "seats": {"for": ["pam"], "slots": 2},
    "some": {"for": ["pam"], "users": ["alice", "@wheel"]}}'
service_start
agent_start
sshd_start
ticks
held_by() { item_of shell | grep -Eq "^item 2 shell $1 session "; }
# A command that keeps its session until $T/go.NAME is there.
keep="sh -c 'echo in >$T/in; while [ ! -e $T/go ]; do sleep 0.05; done'"
away() { rm -f "$T/in" "$T/go"; }
in_there() { test -s "$T/in"; }
leave() { touch "$T/go"; }
chmod 777 "$T"

# ---- each program: gets it, is refused, gives it back --------------------------
open_in() { # PROGRAM, in the background
    case $1 in
    ssh-root) ssh_run root "$keep" ;;
    ssh-user) ssh_run alice "$keep" ;;
    ssh-pty) ssh_tty alice "$keep" ;;
    su) su -c "$keep" root ;;
    su-user) su -c "$keep" alice ;;
    su-l) su - root -c "$keep" ;;
    sudo) as alice sudo sh -c "$keep" ;;
    sudo-pty) as alice script -qec "sudo -u bob $keep" /dev/null ;;
    sudo-b) as alice sudo -b sh -c "$keep" && wait_for 20 test -e "$T/go" ;;
    sudo-i) as alice sudo -i sh -c "$keep" ;;
    esac >/dev/null 2>&1 &
    opened=$!
}
for how in ssh-root ssh-user ssh-pty su su-user su-l sudo sudo-pty sudo-b sudo-i; do
    program=${how%%-*}
    [ "$program" != ssh ] || program=sshd
    away
    open_in $how
    ok "$how: it is in" wait_for 20 in_there
    ok "$how: and has the lock" held_by "$program(-[li])?"
    out=$(ssh_run root true 2>&1)
    is "$how: ssh is refused meanwhile, 254" $? 254
    like "$how: the user is told by whom" "$out" \
        '^justalock: lock "shell" is held by .*@.* \((sshd|su|sudo).* since 20'
    leave
    wait $opened
    ok "$how: free after it" wait_for 10 is_free shell
done

# ---- how a refusal looks, and the exit status ----------------------------------
away
open_in su
wait_for 20 in_there
out=$(as bob su -c 'echo no' root 2>&1)
is "su: refused, 1" $? 1
like "su: told" "$out" 'justalock: lock "shell" is held by root@'
out=$(as bob sudo sh -c 'echo no' 2>&1)
is "sudo: refused, 1" $? 1
like "sudo: told" "$out" 'justalock: lock "shell" is held by root@'
ok "sudo: nothing ran" [ "$(echo "$out" | grep -c '^no')" = 0 ]
# shellcheck disable=SC2046
get_by_sftp() {
    echo "get /etc/hostname $T/fetched" |
        sftp -b - -P 2222 $(ssh_options | sed 's/-p 2222//') alice@127.0.0.1
}
# shellcheck disable=SC2046
copy_by_scp() {
    scp -O -P 2222 $(ssh_options | sed 's/-p 2222//') /etc/hostname \
        "alice@127.0.0.1:$T/copied"
}
out=$(get_by_sftp 2>&1)
ok "sftp: refused" [ $? != 0 ] && ok "sftp: nothing was copied" [ ! -e "$T/fetched" ]
out=$(copy_by_scp 2>&1)
ok "scp: refused" [ $? != 0 ] && ok "scp: nothing was copied" [ ! -e "$T/copied" ]
out=$(script -qec 'login -f alice' /dev/null </dev/null 2>&1)
like "login: told" "$out" 'justalock: lock "shell" is held by'
leave
wait $opened
wait_for 10 is_free shell
out=$(printf 'echo in $JUSTALOCK_LOCK $JUSTALOCK_TOKEN\nexit\n' |
    script -qec 'login -f alice' /dev/null 2>&1)
like "login: in, with the lock" "$out" 'in shell [1-9]'
ok "login: free after it" wait_for 10 is_free shell
like "su: its environment" "$(su -c 'echo $JUSTALOCK_LOCK $JUSTALOCK_TOKEN' root)" '^shell [1-9]'
get_by_sftp >/dev/null 2>&1
ok "sftp: copies when it is free" test -s "$T/fetched"
ok "sftp: free after it" wait_for 10 is_free shell
copy_by_scp >/dev/null 2>&1
ok "scp: copies when it is free" test -s "$T/copied"
ok "scp: free after it" wait_for 10 is_free shell
ok "handed over in turn, twenty times" sh -c \
    'i=0; while [ $i -lt 20 ]; do su -c true root || exit 1; i=$((i + 1)); done'

# ---- one connection, one lock: no command at all, and many ----------------------
connect() { # OPTION...: no command
    # shellcheck disable=SC2046
    ssh $(ssh_options) "$@" -N alice@127.0.0.1 >/dev/null 2>&1 </dev/null &
    opened=$!
}
connect
ok "ssh -N: has the lock, without a command" wait_for 20 held_by sshd
ssh_run bob true >/dev/null 2>&1
is "ssh -N: the next one is refused" $? 254
kill $opened
wait $opened
ok "ssh -N: free after it" wait_for 10 is_free shell
connect -M -S "$T/master"
ok "multiplexed: the master has the lock" wait_for 20 held_by sshd
is "multiplexed: so its sessions need none" \
    "$(ssh_run alice -S "$T/master" echo one; ssh_run alice -S "$T/master" echo two)" "one
two"
ok "multiplexed: they did not end it" held_by sshd
ssh_run alice true >/dev/null 2>&1
is "multiplexed: another connection is refused" $? 254
# shellcheck disable=SC2046
ssh $(ssh_options) -S "$T/master" -O exit alice@127.0.0.1 2>/dev/null
wait $opened
ok "multiplexed: free with the connection" wait_for 10 is_free shell

# ---- ends that nobody announces --------------------------------------------------
pids_of() { # COMM UID: of this namespace
    ps -e -o pid=,comm=,euid= | awk -v c="$1" -v u="$2" '$2 == c && $3 == u { print $1 }'
}
away
open_in ssh-user
wait_for 20 in_there
kill -KILL "$(pgrep -f '^ssh .*2222.*alice@' | head -n 1)"
is_leaving() { item_of shell | grep -q '^item 5 '; }
ok "client killed: over, and the command lives on" wait_for 20 is_leaving
leave
ok "client killed: free when it is gone" wait_for 10 is_free shell
wait $opened
away
open_in ssh-pty
wait_for 20 in_there
kill -KILL "$(pgrep -f '^ssh .*2222.*alice@' | head -n 1)"
ok "client with a terminal killed: free" wait_for 20 is_free shell
wait $opened

away
open_in ssh-user
wait_for 20 in_there
# The root monitor of the session, "sshd: alice [priv]".
kill -KILL "$(pgrep -f '^sshd: alice \[priv\]')"
sleep 0.5
ok "monitor killed: the session goes on and keeps the lock" held_by sshd
leave
wait $opened
ok "monitor killed: free when it has ended" wait_for 10 is_free shell

away
open_in ssh-user
wait_for 20 in_there
kill -KILL "$(pgrep -f '^sshd: alice \[priv\]')" "$(pgrep -f '^sshd: alice@')"
sleep 1
ok "both sshd killed: what survives keeps the lock" item_of shell
leave
ok "both sshd killed: free when it is gone" wait_for 10 is_free shell
wait $opened

for signal in TERM KILL; do
    away
    open_in su
    wait_for 20 in_there
    kill -$signal "$(pgrep -x su)"
    wait $opened
    if [ -n "$(pgrep -f 'while \[ ! -e .*/go')" ]; then
        ok "su $signal: the command lives on and keeps the lock" item_of shell
    fi
    leave
    ok "su $signal: free when nothing is left" wait_for 10 is_free shell
done

# ---- what survives its session -----------------------------------------------------
su -c "setsid '$T/ticks' '$T/left.ticks' >/dev/null 2>&1 & :" root
ok "keep: a child that called setsid" wait_for 10 is_ticking "$T/left.ticks"
like "keep: list names it" "$(item_of shell)" '^item 5 shell su session'
out=$(su -c true root 2>&1)
is "keep: the next one is refused" $? 1
kill "$(pgrep -f "$T/left.ticks")"
ok "keep: free when it has ended" wait_for 10 is_free shell

stack_usual su "session required $JAL lock=kill socket=$SOCK"
su -c "setsid '$T/ticks' '$T/kill.ticks' deaf >/dev/null 2>&1 & sleep 0.3" root
ok "kill: free soon" wait_for 10 is_free kill
sleep 0.5
still() { is_ticking "$1"; }
ok "kill: what was left is dead" [ "$(still "$T/kill.ticks"; echo $?)" = 1 ]
stack_usual su "session required $JAL lock=free socket=$SOCK"
su -c "setsid '$T/ticks' '$T/free.ticks' >/dev/null 2>&1 & sleep 0.3" root
ok "release: free" wait_for 10 is_free free
ok "release: what was left lives on" is_ticking "$T/free.ticks"
kill "$(pgrep -f "$T/free.ticks")"

# ---- share=host ----------------------------------------------------------------------
stack_usual sshd "session required $JAL lock=one/%u socket=$SOCK"
away
open_in ssh-user
wait_for 20 in_there
is "share: a second session of the user on the host" "$(ssh_run alice echo second)" second
ok "share: the first still has it" is_held one/alice
is "share: another user has another lock" "$(ssh_run bob echo other)" other
"$B/bin/justalock" run --no-agent --url "unix:$T/srv.sock" -n one/alice true 2>"$T/err"
is "share: another holder is refused" $? 75
leave
wait $opened
ok "share: free with the last" wait_for 10 is_free one/alice

# ---- policies ---------------------------------------------------------------------------
# A pool: two at once, each told its slot, a third is not in.
stack_usual su "session required $JAL lock=seats socket=$SOCK"
away
open_in su
wait_for 20 in_there
is "pool: a second session, in its slot" "$(su -c 'echo $JUSTALOCK_SLOT' root 2>&1)" 1
su -c "touch $T/in2; while [ ! -e $T/go ]; do sleep 0.05; done" root &
second=$!
in_there2() { [ -e "$T/in2" ]; }
wait_for 20 in_there2
like "pool: not a third" "$(su -c 'echo no' root 2>&1)" '^justalock: lock "seats" is held by root@'
leave
wait $opened $second
ok "pool: free after it" wait_for 10 is_free seats
away
stack_usual su "session required $JAL lock=some socket=$SOCK"
is "users: by name" "$(su -c 'echo in' alice)" in
is "users: by group" "$(su -c 'echo in' bob)" in
out=$(su -s /bin/sh -c 'echo in' daemon 2>&1)
like "users: nobody else" "$? $out" '^1 justalock: .*some'
stack_usual su "session required $JAL lock=jobs socket=$SOCK"
like "a lock that is not for sessions" "$(su -c 'echo in' root 2>&1)" \
    "^justalock: this host's configuration of locks is wrong"
stack_usual su "session required $JAL lock=shell socket=$SOCK except_groups=wheel" \
    "session required $JAL lock=some socket=$SOCK users=bob"
like "two lines: each where it applies" "$(su -c 'env' bob)" 'JUSTALOCK_LOCK=some$'
stack_usual su "session required $JAL lock=shell socket=$SOCK" \
    "session required $JAL lock=some socket=$SOCK"
is "two lines: both" "$(su -c 'echo $JUSTALOCK_LOCK' alice)" shell,some
stack_usual su "session required $JAL lock=shell socket=$SOCK" 'session required pam_deny.so'
su -c 'echo in' alice >/dev/null 2>&1
ok "a later module refuses: the lock goes back" wait_for 10 is_free shell
stack_usual su "session required $JAL lock=shell socket=$SOCK wait=20s"
away
open_in su
wait_for 20 in_there
(su -c 'echo second' root >"$T/second" 2>&1) &
second=$!
ok "wait=: said for whom" wait_for 10 grep -q 'waiting for lock "shell", held by' "$T/second"
leave
wait $opened $second
ok "wait=: in when it is free" grep -q '^second$' "$T/second"
stack_usual su "session required $JAL lock=line socket=$SOCK timeout=1s"
away
open_in su
wait_for 20 in_there
out=$(su -c 'echo in' root 2>&1)
is "a configured wait, longer than timeout=: busy to the end" "$?$(echo "$out" |
    grep -c '^in$')" 10
like "and said, as what it is" "$out" 'lock "line".* held by'
leave
wait $opened
stack_usual su "session required $JAL socket=$SOCK"
out=$(su -c 'echo in' root 2>&1)
is "no lock=: refused" $? 1

# ---- the agent restarts, is gone, is stopped ------------------------------------------
stack_usual su "session required $JAL lock=shell socket=$SOCK timeout=3s"
away
open_in su
wait_for 20 in_there
guard=$(agent_pid guard)
kill -KILL "$guard"
ok "guard killed: a new one" wait_for 10 agent_pid_is_not guard "$guard"
ok "guard killed: it answers" wait_for 10 agent_answers
sleep 1.5
ok "guard killed: the session still has the lock" held_by su
leave
wait $opened
ok "guard killed: free after the session" wait_for 10 is_free shell
stack_usual sshd "session required $JAL lock=shell socket=$SOCK"
away
open_in ssh-user
wait_for 20 in_there
guard=$(agent_pid guard)
kill -KILL "$guard"
wait_for 10 agent_pid_is_not guard "$guard" && wait_for 10 agent_answers
sleep 1.5
ok "guard killed: so has one of sshd" held_by sshd
is "guard killed: no record is damaged" "$(find "$AGENT_STATE" -name '*.damaged')" ""
leave
wait $opened
ok "guard killed: that is free then too" wait_for 10 is_free shell
kill -STOP "$(agent_pid guard)"
start=$(now_ms)
out=$(su -c 'echo in' root 2>&1)
took=$(($(now_ms) - start))
kill -CONT "$(agent_pid guard)"
like "agent silent, open: in, and told" "$out" 'goes on without lock "shell".*'
like "agent silent, open: in" "$out" 'in$'
ok "agent silent: after its timeout ($took ms)" [ "$took" -ge 2900 -a "$took" -lt 9000 ]
stack_usual su "session required $JAL lock=shell socket=$SOCK timeout=2s wait=2s"
su -c "touch '$T/holds'; while [ ! -e '$T/over' ]; do sleep 0.1; done" bob &
holder=$!
wait_for 10 test -e "$T/holds"
(su -c 'echo in' root >"$T/second" 2>&1; echo $? >>"$T/second") &
second=$!
wait_for 10 grep -q 'waiting for lock "shell", held by' "$T/second"
kill -STOP "$(agent_pid guard)"
wait $second
kill -CONT "$(agent_pid guard)"
like "agent silent while another holds it: not in, open or not" "$(tail -n 1 "$T/second")" '^1$'
like "and told" "$(cat "$T/second")" 'lock "shell" was held by another, and then: '
touch "$T/over"
wait $holder
wait_for 20 is_free shell
stack_usual su "session required $JAL lock=shell socket=$SOCK timeout=3s"
service_cut
out=$(su -c 'echo in' root 2>&1)
service_back
like "service silent, open: in" "$out" 'goes on without lock "shell": the lock service'
wait_for 20 is_free shell
agent_stop
stack_usual su "session required $JAL lock=shell socket=$SOCK timeout=300ms on_unreachable=closed"
out=$(su -c 'echo in' root 2>&1)
is "no agent, closed: refused" $? 1
like "no agent, closed: told" "$out" 'justalock: no session without lock "shell": no justalock-agent'
is "no agent, closed: sudo does not run it" \
    "$(stack_usual sudo "session required $JAL lock=shell socket=$SOCK timeout=300ms on_unreachable=closed"; as alice sudo echo ran 2>/dev/null)" ""
stack_usual su "session required $JAL lock=shell sockets=$SOCK"
out=$(su -c 'echo in' root 2>&1)
is "a wrong argument: refused" $? 1
like "a wrong argument: told" "$out" 'configuration of locks is wrong; its system log says where'
stack_usual su "session required $JAL lock=shell socket=$SOCK timeout=300ms"
agent_start
for n in 3 4; do
    out=$(sh -c "ulimit -n $n; exec su -c 'echo in' root" 2>&1)
    ok "room for $n descriptors: refused, open or not" [ $? != 0 ]
done

# ---- the loss --------------------------------------------------------------------------
stack_usual sshd "session required $JAL lock=shell socket=$SOCK"
(ssh_tty alice "'$T/ticks' '$T/lost.ticks' deaf") </dev/null >"$T/lost.out" 2>&1 &
lost=$!
ok "loss: in" wait_for 20 is_ticking "$T/lost.ticks"
ok "loss: and held" wait_for 10 is_held shell
deadline=$(($(now_ms) + $(left_of shell)))
service_cut
gone() { ! is_ticking "$T/lost.ticks"; }
ok "loss: the session ends" wait_for 40 gone
ok "loss: before the lease" [ "$(last_tick "$T/lost.ticks")" -lt "$deadline" ]
ok "loss: the connection too" wait_for 10 sh -c "! kill -0 $lost 2>/dev/null"
service_back
like "loss: a line on its terminal" "$(cat "$T/lost.out")" \
    'justalock: lock "shell" could not be refreshed for [0-9]+ s: this session ends in [0-9]+ s unless it can'
ok "loss: given back" wait_for 20 is_free shell
on_record() { find "$AGENT_STATE" -name 'life-*' -o -name 'work-*' | grep -q .; }
off_record() { ! on_record; }
# Seconds, as a rule. Twice of some fifteen runs on a busy machine it was more than
# ten, and is not understood: what is it then? A place that something is still in
# keeps the record for two minutes at most; no lock is held by it.
wait_for 10 off_record || {
    "$B/bin/justalock" list --socket "$SOCK"
    find /sys/fs/cgroup -path '*justalock*' -name cgroup.procs -exec grep . {} +
    ps -eo pid,ppid,stat,etimes,wchan:20,args
    tail -n 30 "$T/agent.log"
} | sed 's/^/# /'
ok "loss: the agent has heard of that" wait_for 130 off_record
agent_stop
kill "$(cat "$T/sshd.pid")"
# ---- the table in the manual page ----------------------------------------------------------
rows=$(sed -n '/^\.Ss What becomes/,/^\.El/s/^\.It //p' modules/pam/pam_justalock.8)
ok "the manual page has its table" [ "$(echo "$rows" | wc -l)" -gt 8 ]
is "each row of it is a test here" "$(echo "$rows" | sed 's/^su .*/su $signal/' | while read -r row; do
    grep -Eq "(ok|is|like) \"$(echo "$row" | sed 's/\$/\\$/')[:,]" "$0" || echo "$row"
done)" ""
is "no life line, no record is left" "$(find "$AGENT_STATE" -name 'life-*' -o -name 'work-*')" ""
tap_done
