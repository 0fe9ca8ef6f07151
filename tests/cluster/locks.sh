#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Jobs on two nodes and logins on both want one lock; a job on two nodes holds
# it until its last process is gone on both.

. tests/lib/tap.sh
. tests/lib/node.sh
. tests/lib/certs.sh
. tests/lib/cluster.sh
cluster_needs
node_private "$0" "$@"

cluster_make || exit 1
# Time namespaces do not cover the wall clock, and Slurm and munge want theirs
# to agree: so it is our own processes alone that are an hour ahead, an hour
# behind, and two hours behind. CLOCK_BOOTTIME and CLOCK_MONOTONIC stay true, and
# so does the keeper's time: it takes nothing from its environment.
cluster_clock head justalock-server -7200
cluster_clock n1 justalock-agent +3600
cluster_clock n2 justalock-agent -3600
ok "three machines boot, with Slurm and locks" cluster_up || cluster_why
for n in $CLUSTER_NODES; do
    is "no failed unit on $n" "$(on $n systemctl --failed --no-legend)" ""
done
is "config check finds no error on n1" "$(on n1 justalock config check 2>&1 | grep -i error)" ""
fakes() { # NODE PROGRAM: those that run, those with another clock
    on "$1" sh -c 'for p in $(pidof "$1"); do
        grep -q libfaketime /proc/$p/maps && printf "faked " || printf "true "
    done' sh "$2"
}
is "the server's clock is another" "$(fakes head justalock-server)" "faked "
for n in n1 n2; do
    is "the clocks of watch and guard on $n are others" "$(fakes $n justalock-agent)" "faked faked "
    is "that of the keeper on $n is true" "$(fakes $n justalock-keeper)" "true "
done

for ms in 300 400 500; do
    for n in n1 n2; do
        job $n --lock=work "$W $ms" >/dev/null
        login alice@$n head "$W $ms"
    done
done
ok "six jobs and six logins on two nodes all work" wait_for 90 started 12
ok "and end" wait_for 20 running 0

# ---- one job, two nodes --------------------------------------------------------
# Each node's part has a history of its own; who comes next is in both.
both="env WORK_LOCK=part0 $W -- env WORK_LOCK=part1 $W"
echo "WORK_LOCK=part\$SLURM_NODEID exec $W \$((SLURM_NODEID * 3000 + 500))" \
    >"$T/history/part"
job n1,n2 --lock=work "-N2 -n2" "srun sh /history/part" >"$T/two"
ok "a job on two nodes works on both" wait_for 60 started 14
job n1 --lock=work "$both 300" >/dev/null
job n2 --lock=work "$both 300" >/dev/null
login alice@n1 head "$both 300"
ok "who wanted its lock works, too" wait_for 60 started 20
ok "and ends" wait_for 20 running 0

# What a part leaves behind in a session of its own is work of the job: it is
# ended with it, and the lock is kept until then. Its output is not Slurm's, which
# would wait for that itself.
echo "WORK_LOCK=part\$SLURM_NODEID exec $W -f -d \$((SLURM_NODEID * 60000 + 500)) >/dev/null 2>&1" \
    >"$T/history/left"
two=$(job n1,n2 --lock=work "-N2 -n2" "srun sh /history/left")
ok "another leaves processes behind that are deaf to TERM" wait_for 60 started 22
job n1 --lock=work "$both 300" >/dev/null
on n2 scancel "$two"
ok "cancelled: the next one works" wait_for 60 started 24
ok "and ends" wait_for 20 running 0
judge "jobs and logins of two nodes: one at a time, of the job on both its last process" 24
ok "Slurm's nodes are idle" wait_for 20 cluster_is_idle
tap_done
