#!/bin/sh
# SPDX-License-Identifier: MIT
#
# healthcheck.sh - a HealthCheckProgram for slurm.conf: takes a node without a
# justalock-agent out of service before jobs come to it. Such a node refuses
# every job that wants a lock at once, and so attracts the next: a black hole.
#
#   HealthCheckProgram=/usr/share/justalock/healthcheck.sh
#   HealthCheckInterval=60
#   HealthCheckNodeState=ANY
#
# Drains the node, which lets its jobs end, and resumes it when the agent is
# back, only where the reason is ours. Asks three times: a restart of the agent
# is no failure. Site checks may go below. Always exits 0, as Slurm wants.
#
# slurmd gives it no SLURM_CONF: where slurm.conf is not at its usual place,
# export that here, or scontrol finds no controller and nothing is done.

set -u
PATH=${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}
REASON='justalock-agent does not answer'
JUSTALOCK=${JUSTALOCK:-justalock}
SCONTROL=${SCONTROL:-scontrol}
PAUSE=${PAUSE:-2}
node=${SLURMD_NODENAME:-$(hostname -s)}

agent_answers() {
    for try in 1 2 3; do
        # An agent that is stopped takes connections and never answers.
        timeout -k 1 5 "$JUSTALOCK" list >/dev/null 2>&1 && return 0
        [ "$try" = 3 ] || sleep "$PAUSE"
    done
    return 1
}

# "NAME=VALUE" of the node, the reason with its spaces.
node_state() {
    "$SCONTROL" -o show node "$node" 2>/dev/null |
        sed -n 's/.* State=\([^ ]*\).*/\1/p'
}
has_our_reason() {
    "$SCONTROL" -o show node "$node" 2>/dev/null | grep -qF "Reason=$REASON"
}

state=$(node_state)
if agent_answers; then
    case $state in
    *DRAIN*)
        has_our_reason &&
            "$SCONTROL" update NodeName="$node" State=RESUME
        ;;
    esac
else
    case $state in
    *DRAIN* | *DOWN*) ;; # for whatever reason: it stays
    *) "$SCONTROL" update NodeName="$node" State=DRAIN Reason="$REASON" ;;
    esac
fi
exit 0
