#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `justalock run` on a terminal, with and without an agent: a wait is one line,
# updated in place and taken away; keys do what they do without us.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
J=$B/bin/justalock
unset JUSTALOCK_URL
export JUSTALOCK_CONFIG="$T/conf.json" TERM=vt100
service_start
agent_start

state() { "$J" status --json "$1" | jq -r .state; }
is_held_at_service() { [ "$(state "$1")" = held ]; }
# A terminal with a command in it; what is written to descriptor 8 is typed.
terminal() { # COMMAND
    mkfifo "$T/keys.$((n += 1))"
    # What sh starts in the background ignores the keys' signals.
    env --default-signal=INT,QUIT timeout --foreground 60 script -qefc "$1" /dev/null <"$T/keys.$n" >"$T/screen" 2>&1 &
    typed=$!
    exec 8>"$T/keys.$n"
}
ended() { # its status, in $rc
    wait $typed
    rc=$?
    exec 8>&-
}
# Escapes made visible: \r as ^M, ESC as ^[.
screen() { cat -v "$T/screen"; }
shows() { screen | grep -Eq -- "$1"; }
ctrl_c='\003' ctrl_z='\032' ctrl_bs='\034'
keys() { printf "$1" >&8; } # keys are a format: \003
n=0

for how in --no-agent "--socket /run/agent.sock"; do
    case $how in --no-agent) w="alone" name='turn,' ;; *) w="agent" name='lock "turn",' ;; esac
    # shellcheck disable=SC2086
    "$J" run $how --label 'alice at work' turn sleep 1000 &
    holder=$!
    wait_for 10 is_held_at_service turn
    terminal "stty cols 200; $J run $how turn echo it runs"
    ok "$w: a wait says for whom" wait_for 10 shows \
        "\^M\^\[\[Kjustalock: waiting for $name held by alice at work since .* \(0 s\)"
    ok "$w: and counts" wait_for 10 shows '\(2 s\)'
    is "$w: on one line" "$(screen | grep -c .)" 1
    kill $holder
    wait $holder 2>/dev/null
    ended
    is "$w: the line is taken away before the command" \
        "$rc $(screen | tail -n 1 | sed 's/.*\^\[\[K//; s/\^M$//')" "0 it runs"

    # shellcheck disable=SC2086
    "$J" run $how --label 'alice at work' turn sleep 1000 &
    holder=$!
    wait_for 10 is_held_at_service turn
    terminal "stty cols 30; $J run $how turn true"
    ok "$w: a narrow terminal" wait_for 10 shows 'K.*K.*K'
    is "$w: the line is cut to it" "$(screen | tr -d '\n' |
        sed 's/\^M^\[\[K/\n/g; s/\^M\^\[\[K/\n/g' | awk '{ print length }' |
        sort -n | tail -n 1)" 29
    keys "$ctrl_c"
    ended
    is "$w: interrupt ends a wait" "$rc" 130
    kill $holder
    wait $holder 2>/dev/null

    terminal "$J run $how keys sh -c 'trap \"echo INT; exit 4\" INT
        echo up; while :; do sleep 0.1; done'"
    wait_for 10 shows up
    keys "$ctrl_c"
    ended
    is "$w: interrupt is the command's" "$rc $(screen | grep -c INT)" "4 1"
    terminal "$J run $how keys sh -c 'echo up; while :; do sleep 0.1; done'"
    wait_for 10 shows up
    keys "$ctrl_bs"
    ended
    is "$w: quit ends it" "$rc" 131
    terminal "$J run $how keys cat"
    keys 'a line\n'
    ok "$w: what is typed is the command's" wait_for 10 shows '^a line\^M$'
    keys '\004'
    ended
    is "$w: and the end of it" "$rc" 0

    # A shell with jobs.
    terminal "env PS1='> ' sh -i"
    wait_for 10 shows '> '
    keys "$J run $how jobs sh -c 'echo \$((5 * 11)); while [ ! -e $T/go ]; do sleep 0.1; done; exit 6'\n"
    ok "$w: a job of a shell begins" wait_for 10 shows '^55'
    keys "$ctrl_z"
    ok "$w: stop gives the shell the terminal" wait_for 10 shows 'Stopped|suspended'
    ok "$w: the lock is kept" is_held_at_service jobs
    keys 'fg; echo status=$?\n'
    ok "$w: fg continues it" wait_for 10 shows '^.*fg; echo'
    touch "$T/go"
    ok "$w: its status comes through" wait_for 10 shows 'status=6'
    # Begun in the background, it stops when it reads; fg is for its command.
    keys "$J run $how back sh -c 'read a; echo got=\$((\$a + 1))' &\n"
    stopped_in_back() { keys '\n' && shows '(Stopped|[Ss]uspended) .* back '; }
    ok "$w: one begun in the background stops for its input" wait_for 10 stopped_in_back
    keys 'fg\n41\n'
    ok "$w: fg lets it read" wait_for 10 shows 'got=42'
    keys 'exit\n'
    ended
    rm -f "$T/go"
done

# Not for a machine to read.
"$J" run --no-agent --label 'alice at work' turn sleep 1000 &
wait_for 10 is_held_at_service turn
TERM=dumb terminal "TERM=dumb $J run --no-agent turn true"
ok "a dumb terminal gets plain lines" wait_for 10 shows \
    '^justalock: waiting for turn, held by alice at work since [^ ]*\^M$'
keys "$ctrl_c"
ended
agent_stop
tap_done
