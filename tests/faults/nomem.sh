#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A server whose memory runs out at each point in turn (tests/faults/nomem.c):
# never a 200 that is not on disk, never a crash, and it serves again. A sample
# of the points, another one each time; FAULT_LONG=1: all, in some minutes.
# FAULT_SEED names where the sample begins.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
step=13
[ -z "${FAULT_LONG:-}" ] || step=1
seed=${FAULT_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
first=$((seed % step + 1))
mkdir "$T/nomem"
"$B/tests/faults/nomem" "$T/nomem" $first $step >"$T/out" 2>"$T/log"
rc=$?
grep '^#' "$T/out" | head -n 20
is "every ${step}th point from $first: $(sed -n 's/^.*ok 1 - //p' "$T/out")" $rc 0
points=$(sed -n 's/^.*ok 1 - \([0-9]*\) points.*/\1/p' "$T/out")
ok "a server has hundreds of them" [ $((${points:-0} * step)) -gt 600 ]
tap_done
