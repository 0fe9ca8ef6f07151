#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A job loses its lock while one of its processes is in D state, writing to a
# frozen disk: nothing ends it, and the real Slurm drains the node for it.

# shellcheck disable=SC2016 # job scripts
set -u
. tests/lib/tap.sh
. tests/lib/stuck.sh
. tests/lib/slurm.sh
. tests/lib/slurm-site.sh
. tests/lib/slurm-jobs.sh
stuck_disk "$0" "$@"
slurm_private "$0" "$@"
trap 'stuck_thaw; slurm_end' EXIT

PLUGSTACK_ARGS=
SITE_LIFETIME=12
site_start '"slurm": { "cluster": "private" }' || exit 1
cat >"$T/work/stick" <<END
#!/bin/sh
exec 9>>$disk/file # before it freezes
: >here
while [ ! -e frozen ]; do sleep 0.1; done
echo x >&9
END
chmod 755 "$T/work/stick"
a=$(sub alice -w n1 --no-requeue --lock=stuck --wrap "exec ./stick")
ok "a job works" wait_for 20 test -e "$T/work/here"
stuck_freeze
: >"$T/work/frozen"
in_d() { ps -e -o stat=,args= | grep -q '^D.*[.]/stick'; }
ok "it is in D state" wait_for 10 in_d
kill -STOP "$(server_pid)"
drained() {
    sinfo -h -N -p main -n n1 -o '%T %E' |
        grep -q "^drain.* justalock: .* job $a .*not be confirmed"
}
ok "its lock is lost: the node is drained, and Slurm says why" \
    wait_for 40 drained
ok "and it is in D state still" in_d
kill -CONT "$(server_pid)"
b=$(sub bob -w n2 --lock=stuck --wrap "echo ran")
stuck_thaw
not_d() { ! in_d; }
ok "thawed: it dies" wait_for 20 not_d
scontrol update NodeName=n1 State=RESUME
wait_done 40 "$a" "$b"
is "the job failed, the next one has its lock" \
    "$(job_state "$a") $(job_state "$b")" "FAILED COMPLETED"
at_rest "at the end" 40
tap_done
