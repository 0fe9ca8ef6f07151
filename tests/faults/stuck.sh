#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Work that is hard to end, with and without an agent: children that stop
# themselves, wait in vfork, fork on and on, and a frozen cgroup are dead before
# the lease ends. One that writes to a frozen disk is in D state and cannot be
# killed: status 80, and for a job Slurm is asked to drain the node; the lock
# is not given back before it is dead.

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/stuck.sh
stuck_disk "$0" "$@"
agent_private "$0" "$@"
trap 'stuck_thaw; agent_end' EXIT

J=$B/bin/justalock
W=$B/tests/faults/witness
M=$T/marks
mkdir -m 1777 "$M" "$T/bin"
agent_conf '"lifetime": 6'
# Slurm's own is tried in tests/slurm/stuck.sh.
cat >"$T/bin/scontrol" <<END
#!/bin/sh
printf '%s|' "\$@" >>"$T/scontrol"
END
chmod 755 "$T/bin/scontrol"
PATH=$T/bin:$PATH
service_start
agent_start

expires() { # LOCK: ms of the wall clock, not too early by more than 50 ms
    ex_at=$(now_ms)
    ex_left=$("$J" status --config "$T/conf.json" --json "$1" | jq .expires_ms)
    echo $((ex_at + ex_left))
}
alive() { pgrep -f "^$W $M $1 " >/dev/null; }
not_alive() { ! alive "$1"; }
runs() { # LOCK KIND...: by $how
    rn_lock=$1
    shift
    # shellcheck disable=SC2086
    "$J" run $how -t 6 "$rn_lock" "$W" "$M" "$rn_lock" 600000 "$@" \
        2>"$T/$rn_lock.err" &
    runner=$!
    wait_for 20 test -e "$M/$rn_lock"
    sleep 0.3 # its children
}
dead_in_time() { # TEXT LOCK
    service_cut
    end=$expiry
    ok "$1: all of it ends" wait_for 20 not_alive "$2"
    dead=$(now_ms)
    ok "$1: before its lease ($((end - dead)) ms)" [ "$dead" -lt "$end" ]
}

for how in "--socket /run/agent.sock" "--config $T/conf.json"; do
    case $how in *agent.sock) by=agent ;; *) by=alone ;; esac
    runs $by-hard stop vfork storm deaf setsid
    expiry=$(expires $by-hard)
    dead_in_time "$by, hard children" $by-hard
    wait $runner
    is "$by, hard children: status" $? 79
    service_back
done

how="--socket /run/agent.sock"
runs frozen plain
group=$(agent_cgroups | while read -r d; do
    ls -d "$d"/command-* 2>/dev/null
done | head -n 1)
if [ -n "$group" ]; then
    echo 1 >"$group/cgroup.freeze"
    expiry=$(expires frozen)
    dead_in_time "its cgroup is frozen" frozen
    wait $runner
    service_back
else
    skip "its cgroup is frozen" "no cgroup v2 here"
    kill $runner
fi

# ---- D state -------------------------------------------------------------------
cat >"$T/stuck" <<END
#!/bin/sh
exec 9>>"$disk/\$1" # opened before it freezes
: >"$M/\$1"
while [ ! -e "$T/frozen" ]; do sleep 0.05; done
echo x >&9
END
chmod 755 "$T/stuck"
in_d() { # LOCK
    st_pid=$(pgrep -f "^/bin/sh $T/stuck $1\$" | head -n 1)
    grep -qs '^State:.D' "/proc/${st_pid:-0}/status"
}
gone() { ! pgrep -f "^/bin/sh $T/stuck $1\$" >/dev/null; }
freeze() {
    stuck_freeze
    : >"$T/frozen"
}
thaw() {
    stuck_thaw
    rm "$T/frozen"
}
for how in "--socket /run/agent.sock" "--config $T/conf.json"; do
    case $how in *agent.sock) by=agent ;; *) by=alone ;; esac
    # shellcheck disable=SC2086
    "$J" run $how -t 6 "$by-d" "$T/stuck" "$by-d" 2>"$T/$by-d.err" &
    runner=$!
    wait_for 20 test -e "$M/$by-d"
    freeze
    ok "$by, D state: it is" wait_for 10 in_d "$by-d"
    service_cut
    wait $runner
    is "$by, D state: status" $? 80
    like "$by, D state: said" "$(cat "$T/$by-d.err")" 'could not be confirmed'
    ok "$by, D state: it is alive indeed" in_d "$by-d"
    thaw
    ok "$by, D state: it dies when it can" wait_for 20 gone "$by-d"
    service_back
    none() { ! pgrep -f "^$J run" >/dev/null; }
    ok "$by, D state: then nothing of ours is left" wait_for 20 none
    is "$by, D state: the lock can be taken" \
        "$("$J" run --config "$T/conf.json" -w 20s "$by-d" echo in)" in
done

client begin job=77 uid=0 locks=job-d >/dev/null
client task job=77 uid=0 locks=job-d -- "$T/stuck" job-d >/dev/null 2>&1 &
wait_for 20 test -e "$M/job-d"
freeze
wait_for 10 in_d job-d
rm -f "$T/scontrol"
service_cut
drained() { grep -qs 'update|' "$T/scontrol"; }
ok "a job in D state: Slurm is asked to drain the node" wait_for 20 drained
like "a job in D state: with the reason" "$(cat "$T/scontrol")" \
    "update\\|NodeName=$(hostname -s)\\|State=DRAIN\\|Reason=justalock: .*job 77.*confirmed"
service_back
sleep 2
ok "a job in D state: the lock is not given back" in_d job-d
like "a job in D state: nor taken by another task of it" \
    "$(client task job=77 uid=0 locks=job-d -- true)" '^verdict [1-8] '
thaw
ok "a job in D state: it dies when it can" wait_for 20 gone job-d
ok "a job in D state: and the lock is free" wait_for 20 is_free job-d
is "a job in D state: the node was drained once" \
    "$(grep -o 'update|' "$T/scontrol" | wc -l)" 1
is "no work saw another" "$(cat "$M/broken" 2>/dev/null)" ""
tap_done
