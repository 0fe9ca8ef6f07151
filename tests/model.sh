#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The lease protocol as a model: spin looks at every state that it can reach.
# Without a bug nothing may be found, and no line of the model be left out;
# each planted bug must be found. tests/model/lease.pml says what is modelled,
# tests/model/leader.pml that of several servers.

. tests/lib/tap.sh
models=$(cd tests/model && pwd)
model=lease
W=$(mktemp -d "${TMPDIR:-/tmp}/justalock-model.XXXXXX") || exit 1
trap 'rm -rf "$W"' EXIT
trap 'exit 143' INT TERM
needs spin

# A search for a bug takes less time than a compiler that optimizes.
search() { # NAME -O LEVEL [-DDEFINE...]: what spin finds goes to $W/NAME/out
    mkdir "$W/$1" && cd "$W/$1" || return 1
    level=$2
    shift 2
    spin -a "$@" "$models/$model.pml" >spin.out 2>&1 || return 1
    ${CC:-cc} "$level" -w -DSAFETY -DNOREDUCE -o pan pan.c || return 1
    ./pan -m2000000 -w23 >out 2>&1
}
number() { # NAME WORDS: the number before the words
    sed -n "s/^ *\([0-9.e+]*\) $2.*/\1/p" "$W/$1/out"
}
is_clean() { # NAME: all states were seen, and nothing was wrong
    grep -q 'errors: 0$' "$W/$1/out" &&
        ! grep -qE 'max search depth|out of memory|not completed' "$W/$1/out"
}
finds() { # NAME ASSERTION: wrong is what the bug does, and not something else
    grep -qF "assertion violated $2" "$W/$1/out"
}
bug() { # ASSERTION NAME DEFINES TEXT
    # shellcheck disable=SC2086
    (search "$2" -O0 $3) || true
    ok "found: $4" finds "$2" "$1"
}

(search clean -O1) &
extended=$!
work='(( !(work)||asleep)||(left[share]>0))'
bug "$work" answer -DBUG_count_from_answer \
    "the lease is counted from the answer"
bug "$work" margin -DBUG_no_margin "a deadline without a margin"
bug "$work" slewed -DBUG_slewed_clock "a lease counted on a slewed clock"
bug "$work" suspend -DBUG_stops_in_suspend "a clock that stops in suspend"
bug "$work" watch -DBUG_no_watch "who is paused should have ended the work"
bug "$work" offer -DBUG_offer_counts_from_wait \
    "an offer is taken for a grant and counts from its wait"
bug "$work" reused -DBUG_reused_client "a share that serves again"
bug "$work" soft "-DBASE -DBUG_reused_client" \
    "a delayed soft release, and its client id serves again"
bug "$work" restart -DBUG_restart_forgets "a server that forgets"
bug "((failed>1)||excused)" retry -DBUG_retry_full_interval \
    "a failed refresh is retried after a full interval"
bug " !(tomb[s])" tombs -DBUG_no_tombstones \
    "no tombstones: a late request holds the lock for nobody"
bug " !(prompt[s])" late "-DBASE -DBUG_release_after_expiry" \
    "a soft release after the end takes the lock"

model=leader
(search leaders -O1) || true
two=" !((work&&(stored==2)))"
bug "$two" memory -DBUG_answer_from_memory \
    "a server that was deposed answers from memory"
bug "$two" extra -DBUG_no_extra \
    "a successor counts no longer than the lease"
bug "$two" proof -DBUG_proof_from_answer \
    "the proof of leading is counted from its answer"
bug "$two" keepalive -DBUG_keepalive_proves "a keepalive is taken for a proof"
bug "$two" unguarded -DBUG_unguarded "a transaction that is not guarded"
bug "$two" loads -DBUG_load_first "a successor loads, then makes its key"
bug "(stored!=1)" epoch -DBUG_lower_epoch \
    "a lower epoch is believed: a held lock is given up"
model=lease

(search base -O1 -DBASE) || true
wait "$extended"
ok "no bug, base service: nothing is found in $(number base 'states, stored') states" \
    is_clean base
ok "no bug, our server: nothing is found in $(number clean 'states, stored') states" \
    is_clean clean
is "and every line of the model was reached" \
    "$(grep ', state ' "$W/clean/out" | grep -v -e '-end-')" ""
ok "no bug, several servers: nothing is found in $(number leaders 'states, stored') states" \
    is_clean leaders
is "and every line of that model was reached" \
    "$(grep ', state ' "$W/leaders/out" | grep -v -e '-end-')" ""
tap_done
