#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A thousand held locks in one agent: all refreshed, all taken over by a new
# guard and a new watch, at a small price, and all given back.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

N=${MANY:-1000}
agent_conf '"lifetime": 60'
service_start
agent_start

i=0
while [ $i -lt "$N" ]; do
    i=$((i + 1))
    client begin job=$i uid=0 nodes=1 locks="many-$i" >/dev/null
    client task job=$i uid=0 locks="many-$i" -- true >/dev/null || break
done
held() { [ "$(client list | grep -c '^item 2 many-')" = "$N" ]; }
ok "$N locks are held" held

cpu() { # of a process, in clock ticks
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
for part in watch guard keeper; do
    eval "before_$part=$(cpu "$(agent_pid $part)")"
done
sleep 22 # more than a refresh of each
for part in watch guard keeper; do
    pid=$(agent_pid $part)
    eval "used=\$(($(cpu "$pid") - before_$part))"
    # shellcheck disable=SC2154
    echo "# $part: $(rss "$pid") kB resident, $((used * 10)) ms of CPU in 22 s"
    ok "$part: less than a tenth of a processor" [ "$used" -lt 220 ]
done
ok "all are still held" held
refreshed() { ! client list | grep '^item 2 many-' |
    sed 's/.* left=\([0-9]*\) .*/\1/' | awk '$1 < 30000' | grep -q .; }
ok "and all were refreshed" refreshed

for part in guard watch; do
    pid=$(agent_pid $part)
    kill -KILL "$pid"
    wait_for 10 agent_pid_is_not $part "$pid"
    ok "$part killed: the agent answers" wait_for 10 agent_answers
    ok "$part killed: all are still held" wait_for 5 held
done
i=0
while [ $i -lt "$N" ]; do
    i=$((i + 1))
    client end job=$i >/dev/null
done
none() { [ "$(client list | grep -c '^item')" = 0 ]; }
ok "all are given back" wait_for 20 none
is "no record stays" "$(find "$AGENT_STATE" -name 'work-*' | wc -l)" 0
is "no cgroup stays" "$(agent_cgroups | while read -r d; do find "$d" -mindepth 1 -type d; done)" ""
tap_done
