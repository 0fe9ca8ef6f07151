#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whom the keeper becomes: as the option says, else as the configuration does,
# else justalock; nobody where there is none such, and that is said.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

# A user database of our own, for "jk" and without "justalock".
grep -v '^justalock:' /etc/passwd >"$T/passwd"
echo 'jk:x:4711:65534::/nonexistent:/usr/sbin/nologin' >>"$T/passwd"
mount --bind "$T/passwd" /etc/passwd || exit 1

runs_as() { # WANT [OPTION...]
    runs_want=$1
    shift
    "$B/bin/justalock-agent" --config "$T/conf.json" --socket /run/agent.sock \
        --state "$AGENT_STATE" "$@" >"$T/agent.log" 2>&1 &
    # shellcheck disable=SC2034 # agent_stop waits for it
    AGENT=$!
    wait_for 10 agent_answers
    ok "$runs_what: as $runs_want" wait_for 10 is_user "$runs_want"
    agent_stop
}
is_user() {
    [ "$(awk '/^Uid:/ {print $2}' "/proc/$(agent_pid keeper)/status" 2>/dev/null)" = \
        "$(id -u "$1")" ]
}
says() { grep -c "there is no user $1: the keeper runs as nobody" "$T/agent.log"; }

agent_conf '"lifetime": 10' '"agent": {"keeper_user": "jk"}'
service_start
runs_what="the configuration"
runs_as jk
is "nothing is said" "$(says '.*')" 0
is "run without an agent: the same" \
    "$("$B/bin/justalock" run --no-agent --config "$T/conf.json" x pgrep -c -u jk justalock)" 1
runs_what="the option goes before it"
runs_as daemon --keeper-user daemon
agent_conf '"lifetime": 10' '"agent": {"keeper_user": "no-such-user"}'
runs_what="a user that is not there"
runs_as nobody
is "that is said" "$(says no-such-user)" 1
like "config check says it, too" "$("$B/bin/justalock" config check --config "$T/conf.json" 2>&1)" \
    'agent.keeper_user: there is no user no-such-user on this host'
agent_conf '"lifetime": 10'
runs_what="nothing, without justalock"
runs_as nobody
is "which is as it should be" "$(says '.*')" 0
tap_done
