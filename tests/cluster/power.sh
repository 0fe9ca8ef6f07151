#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A node cut off the network, a node that loses its power, a head that does:
# who held the lock is dead before its lease ends, and who waits gets it after.

. tests/lib/tap.sh
. tests/lib/node.sh
. tests/lib/certs.sh
. tests/lib/cluster.sh
cluster_needs
node_private "$0" "$@"

cluster_make || exit 1
ok "three machines boot, with Slurm and locks" cluster_up || cluster_why

# ---- the network of n1 is cut ------------------------------------------------------
job n1 --lock=work "$W -f -d 0" >/dev/null
ok "a job on n1 that is deaf to TERM, with a child that left" wait_for 30 started 1
job n2 --lock=work "$W 500" >/dev/null
ok "another waits on n2" wait_for 30 waits 1
node_link n1 down
fault link_down "$(lock_of 1)"
ok "link down: the lease is on record" note_leases
ok "the holder is dead, no other works yet" wait_for 30 running 0
ok "then the one on n2 works" wait_for 30 started 2
ok "after the lease" after_lease 2
ok "and ends" wait_for 20 running 0
node_link n1 up
ok "the node is back and its locks work" wait_for 40 on n1 timeout 3 justalock run -n up true
ok "Slurm has it back" wait_for 30 cluster_is_idle || cluster_why
login alice@n1 head "$W 500"
ok "a login there works" wait_for 40 started 3
ok "and ends" wait_for 20 running 0

# ---- n1 loses its power --------------------------------------------------------
job n1 --lock=work "$W 0" >/dev/null
ok "a job on n1 works" wait_for 30 started 4
login alice@n2 head "$W 500"
ok "a login on n2 waits" wait_for 30 waits 1
node_cut n1
fault power_cut "$(lock_of 4)"
ok "power cut: the lease is on record" note_leases
ok "the login works" wait_for 40 started 5
ok "after the lease" after_lease 5
ok "and ends" wait_for 20 running 0
wait "$(cat "$T/n1/nspawn")"
ok "the node boots again" node_boot n1

# ---- the head does ---------------------------------------------------------------
kept=$(job n2 --lock=slow "$W 0")
login bob@n2 n1 "$W 0"
ok "a job and a login on n2 work" wait_for 30 started 7
ok "n1 has its way to the server" wait_for 40 on n1 timeout 3 justalock run -n up true
# slurmctld writes within seconds, and forgets what it has not written.
touch "$T/history/mark"
on n2 scontrol update "JobId=$kept" Comment=kept
written() {
    on head find /var/lib/slurm/slurmctld/job_state -newer /history/mark | grep -q .
}
ok "Slurm has the job on disk" wait_for 30 written
held='[.locks[] | select(.held) | .token] | sort | @csv'
before=$(server_says "$held")
for lock in slow long; do
    ON_TIMEOUT=170 on n1 justalock run -w 5m $lock touch "/history/got-$lock" 2>/dev/null &
done
ok "commands on n1 wait for both" wait_for 30 waits 2
node_cut head
fault head_cut
wait "$(cat "$T/head/nspawn")"
ok "the head boots again" node_boot head
ok "its server answers" wait_for 30 server_says empty
is "with what it had granted, by the tokens" "$(server_says "$held")" "$before"
ok "the commands wait again" wait_for 40 waits 2
sleep_until() { [ "$(raw_ns)" -gt "$1" ]; }
ok "more than a lease after the cut" wait_for 60 sleep_until \
    $(($(awk '$2 == "head_cut" { print $3 }' "$T/history/log") + 62000000000))
ok "both have worked on" running 2
got() { find "$T/history" -name 'got-*' | wc -l; }
is "and nobody got their locks" "$(got)" 0
ok "Slurm answers again" on n2 timeout 10 scontrol ping
on n2 scancel -u alice
on n2 pkill -u bob
ok "ended" wait_for 20 running 0
all_got() { [ "$(got)" = 2 ]; }
ok "the commands get the locks" wait_for 30 all_got
judge "never two at once, dead before the lease's end" 7
tap_done
