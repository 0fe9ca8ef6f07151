# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# A private Slurm of two nodes for shell tests and the demo. Source it after
# tests/lib/tap.sh, from the top of the repository, then:
#
#   slurm_private "$0" "$@"  starts the script again in private mount, pid,
#                            net and uts namespaces (skips where that or
#                            Slurm is missing); past it, $T is a folder in
#                            memory that vanishes with the script
#   slurm_start              munged, slurmctld, and the nodes n1 and n2
#   as USER COMMAND..        as alice or bob, ordinary users, in $T/work
#   on NODE COMMAND..        as root on that node; leave_on: and left there
#
# Each node is a mount, pid and uts namespace of its own with its own /run, so
# that each has its own agent at the default socket; they share the loopback
# network and nothing outside. All processes die with the script, whatever
# ends it, and all files and mounts with them. Nothing of the machine's own
# Slurm, munge, users or /run is read or touched.
#
# Knobs, set before slurm_start: SLURM_EXTRA (lines for slurm.conf),
# PLUGSTACK_ARGS, PROCTRACK (linuxproc; or cgroup), SLURM_WITH (default:
# the plugin; "" for a Slurm without it).
# JUSTALOCK_KEEP=DIR: a copy of all logs goes there at the end.

slurm_private() { # SCRIPT ARG...
    if [ -n "${JUSTALOCK_PRIVATE:-}" ]; then
        slurm_enter
        return
    fi
    for slurm_need in munged slurmctld slurmd slurmstepd sbatch unshare \
        nsenter setpriv ip; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$slurm_need" >/dev/null ||
            slurm_skip_all "$slurm_need is not installed"
    done
    [ "$(id -u)" = 0 ] || slurm_skip_all "needs root"
    unshare --mount --pid --net --uts --fork true 2>/dev/null ||
        slurm_skip_all "no private namespaces here"
    slurm_dir=$(mktemp -d "${TMPDIR:-/tmp}/justalock-slurm.XXXXXX") || exit 1
    chmod 755 "$slurm_dir"
    # Not exec: the folder is taken away after all the rest is gone. unshare
    # ignores TERM itself, so that is passed on as KILL, which its child gets
    # too.
    JUSTALOCK_PRIVATE=$slurm_dir unshare --mount --pid --net --uts --fork \
        --kill-child=KILL --mount-proc /bin/sh "$@" &
    slurm_pid=$!
    trap 'kill -KILL $slurm_pid' INT TERM HUP
    wait $slurm_pid
    slurm_rc=$?
    rmdir "$slurm_dir"
    # The last of the processes may still be leaving.
    wait_for 5 slurm_no_cgroup "$(slurm_cgroup "$slurm_dir")"
    exit $slurm_rc
}

# The folder for cgroups of this run alone, or nothing without cgroup v2.
slurm_cgroup() { # FOLDER
    awk -v n="justalock-test-${1##*.}" '/ - cgroup2 / { f = $5 "/" n }
        END { if (f) print f }' /proc/self/mountinfo
}
slurm_no_cgroup() { # CGROUP
    [ -d "$1" ] || return 0
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -d "$1" ]
}

slurm_skip_all() {
    skip "$0" "$1"
    tap_done
    exit 0
}

# What has to be there before anything runs, inside the namespaces.
slurm_enter() {
    T=$JUSTALOCK_PRIVATE
    export T
    PATH=$PATH:/usr/sbin:/sbin
    B=$(cd "${B:-build}" && pwd)
    set -e
    mount -t tmpfs -o mode=755 tmpfs "$T"
    mount -t tmpfs -o mode=755 tmpfs /run
    # slurmd runs "su - USER" for the environment of a job; where that fails it
    # is written down there.
    mount -t tmpfs -o mode=755 tmpfs /var/log
    # Terminals that ordinary users may open too.
    mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts /dev/pts
    mount --bind /dev/pts/ptmx /dev/ptmx
    hostname ctl
    ip link set lo up
    # Without an address beyond 127/8 getaddrinfo(AI_ADDRCONFIG) finds nothing
    # to listen on.
    ip addr add 10.77.0.1/32 dev lo
    # The build may lie where ordinary users do not get to, as in /root.
    mkdir -m 755 "$T/etc" "$T/log" "$T/build"
    mount --bind "$B" "$T/build"
    B=$T/build
    [ -z "${MODULES:-}" ] || {
        mkdir "$T/modules"
        mount --bind "$MODULES" "$T/modules"
        MODULES=$T/modules
    }
    mkdir -m 1777 "$T/work"
    # A minimal machine may lack /etc/hosts, and where there is no file nothing
    # can be put over it: then all of /etc is a copy.
    [ -e /etc/hosts ] || {
        mkdir "$T/all-etc"
        cp -a /etc/. "$T/all-etc"
        : >"$T/all-etc/hosts"
        mount --bind "$T/all-etc" /etc
    }
    slurm_hide /etc/passwd <<END
alice:x:2001:2001::/nonexistent:/bin/sh
bob:x:2002:2002::/nonexistent:/bin/sh
justalock:x:2099:2099::/nonexistent:/usr/sbin/nologin
END
    slurm_hide /etc/group <<END
alice:x:2001:
bob:x:2002:
justalock:x:2099:
END
    slurm_hide /etc/hosts <<END
127.0.0.1 ctl n1 n2
END
    set +e
    export SLURM_CONF="$T/etc/slurm.conf"
    # Nothing of a Slurm job that this may run in.
    for slurm_var in $(env | sed -n 's/^\(S\(LURM\|BATCH\|PANK\)_[A-Z_]*\)=.*/\1/p'); do
        [ "$slurm_var" = SLURM_CONF ] || unset "$slurm_var"
    done
    trap slurm_end EXIT
    cd "$T/work" || exit 1
}

# Put a changed copy of FILE over it: its lines, then those of stdin.
slurm_hide() {
    { cat "$1" && cat; } >"$T/etc/${1##*/}"
    chmod 644 "$T/etc/${1##*/}"
    mount --bind "$T/etc/${1##*/}" "$1"
}

slurm_end() {
    [ -z "${JUSTALOCK_KEEP:-}" ] || {
        mkdir -p "$JUSTALOCK_KEEP"
        cp -r "$T/etc" "$T/log" "$T/work" "$JUSTALOCK_KEEP/" 2>/dev/null
    }
}

slurm_conf() {
    cat <<END
ClusterName=private
SlurmctldHost=ctl(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$T/munge/socket,cred_expire=5
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/${PROCTRACK:-linuxproc}
TaskPlugin=task/${SLURM_TASK:-none}
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PrologFlags=Alloc
PlugStackConfig=$T/etc/plugstack.conf
StateSaveLocation=$T/ctl/state
SlurmctldPidFile=$T/ctl/slurmctld.pid
SlurmctldLogFile=$T/log/slurmctld.log
SlurmctldPort=6817
SlurmdSpoolDir=$T/%n/spool
SlurmdPidFile=$T/%n/slurmd.pid
SlurmdLogFile=$T/log/slurmd-%n.log
SlurmdDebug=verbose
SlurmctldDebug=verbose
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
KillWait=3
MessageTimeout=10
MinJobAge=600
UnkillableStepTimeout=15
InactiveLimit=0
OverTimeLimit=0
MailProg=/bin/true
NodeName=n1 NodeAddr=127.0.0.1 Port=6821 CPUs=32 RealMemory=1000
NodeName=n2 NodeAddr=127.0.0.1 Port=6822 CPUs=32 RealMemory=1000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=io Nodes=n1,n2 MaxTime=INFINITE State=UP
${SLURM_EXTRA:-}
END
}

slurm_start() {
    mkdir -p "$T/munge" "$T/ctl/state" "$T/n1/spool" "$T/n2/spool"
    chown munge: "$T/munge"
    dd if=/dev/urandom of="$T/munge/key" bs=128 count=1 2>/dev/null
    chown munge: "$T/munge/key"
    chmod 400 "$T/munge/key"
    slurm_conf >"$SLURM_CONF"
    : >"$T/etc/plugstack.conf"
    [ -z "${SLURM_WITH-yes}" ] ||
        echo "required ${MODULES:-$B/lib}/spank_justalock.so ${PLUGSTACK_ARGS:-}" \
            >"$T/etc/plugstack.conf"
    setpriv --reuid=munge --regid=munge --clear-groups munged \
        --key-file="$T/munge/key" --socket="$T/munge/socket" \
        --pid-file="$T/munge/pid" --seed-file="$T/munge/seed" \
        --log-file="$T/munge/log" --num-threads=2 || return 1
    ctl_start || return 1
    for slurm_node in n1 n2; do
        slurm_node_start $slurm_node && slurmd_start $slurm_node || return 1
    done
    wait_for 20 slurm_is_up || {
        echo "# the private Slurm does not come up" >&2
        sinfo -N >&2
        tail -n 5 "$T"/log/*.log >&2
        return 1
    }
}

# A node's first process only reaps: dash collects every child while it waits.
slurm_node_start() {
    unshare --mount --pid --uts --fork --kill-child=KILL --mount-proc sh -c '
        mount -t tmpfs -o mode=755 tmpfs /run && hostname "$1" &&
            mkdir -m 755 /run/justalock && echo up >"$2/$1/up"
        while :; do sleep 3600 & wait $!; done' node "$1" "$T" \
        >/dev/null 2>&1 </dev/null &
    echo $! >"$T/$1/unshare.pid"
    wait_for 5 test -s "$T/$1/up" || return 1
    cat "/proc/$!/task/$!/children" >"$T/$1/pid"
}

# -r and -w: a change of mount namespace alone goes to its root, which is not
# ours where all this runs in a chroot.
on() { # NODE COMMAND...
    slurm_on=$(cat "$T/$1/pid")
    shift
    nsenter -t "${slurm_on% }" -m -p -u -r -w -- "$@"
}

# In the background, and the child of the node's first process: nsenter would
# stop with it, and leave a zombie.
leave_on() { # NODE COMMAND...
    slurm_leave=$1
    shift
    # shellcheck disable=SC2016
    on "$slurm_leave" sh -c '"$@" &' sh "$@"
}

# The node loses its power: every process on it is gone at once.
slurm_node_cut() {
    kill -KILL "$(tr -d ' ' <"$T/$1/pid")"
    rm -f "$T/$1/up" "$T/$1/slurmd.pid"
}

as() { # USER COMMAND...
    slurm_as=$1
    shift
    # shellcheck disable=SC2086
    setpriv --reuid="$slurm_as" --regid="$slurm_as" --init-groups \
        env HOME=/nonexistent USER="$slurm_as" LOGNAME="$slurm_as" "$@"
}

ctl_start() { slurmctld; }
ctl_pid() { cat "$T/ctl/slurmctld.pid"; }
slurmd_start() { on "$1" slurmd -N "$1"; }
slurmd_pid() { cat "$T/$1/slurmd.pid" 2>/dev/null; } # as that node counts
slurmd_stop() {
    on "$1" kill "$(slurmd_pid "$1")"
    wait_for 10 slurmd_is_gone "$1"
}
slurmd_is_gone() { ! on "$1" kill -0 "$(slurmd_pid "$1")" 2>/dev/null; }

slurm_is_up() {
    [ "$(timeout 5 sinfo -h -N -p main -o '%N %t' 2>/dev/null | sort |
        tr '\n' ' ')" = \
        "n1 idle n2 idle " ]
}

job_field() { # JOB FIELD
    scontrol show job -o "$1" 2>/dev/null | tr ' ' '\n' |
        sed -n "s/^$2=//p" | head -n 1
}
job_state() { job_field "$1" JobState; }
job_is() { # JOB STATE|STATE
    case "|$2|" in *"|$(job_state "$1")|"*) ;; *) return 1 ;; esac
}
wait_job() { # SECONDS JOB STATE|STATE
    wait_for "$1" job_is "$2" "$3" || {
        echo "# job $2 is $(job_state "$2"), not $3, after $1 s"
        return 1
    }
}
wait_done() { # SECONDS JOB...: each over, completing too
    slurm_s=$1
    shift
    for slurm_j in "$@"; do
        wait_job "$slurm_s" "$slurm_j" \
            "COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY"
    done
}

# Every node idle (nothing drained, down, failing or still completing), and
# on no node a process of a job, a zombie, or a step of Slurm left.
slurm_rest() { # sets $slurm_why
    slurm_why=$(sinfo -h -N -p main -o '%N %T %E' | grep -v ' idle none$')
    [ -z "$slurm_why" ] || return 1
    slurm_why=$(for slurm_n in n1 n2; do
        on $slurm_n ps -eo pid=,ppid=,uid=,stat=,args= |
            awk -v n="$slurm_n" '$3 == 2001 || $3 == 2002 || $4 ~ /^Z/ ||
                /slurmstepd/ && !/awk/ { print n ": " $0 }'
    done)
    [ -z "$slurm_why" ]
}
ok_rest() { # TEXT
    if wait_for "${2:-15}" slurm_rest; then
        tap_result 0 "$1"
    else
        tap_result 1 "$1"
        printf '%s\n' "$slurm_why" | sed 's/^/# /'
    fi
}

# The work of a job: says when it works on LOCK, every 20 ms, to $T/work/ticks.
# `ticks LOCK COUNT`, to be called in job scripts by its path.
slurm_ticks() {
    cat >"$T/work/ticks" <<END
#!/bin/sh
i=0
while [ \$i -lt \$2 ]; do
    echo "\$1 \${SLURM_JOB_ID:-0}.\${3:-\$\$} \$(date +%s%N)" >>$T/work/log
    i=\$((i + 1))
    sleep 0.02
done
END
    chmod 755 "$T/work/ticks"
    : >"$T/work/log"
    chmod 666 "$T/work/log"
}
# Per lock, the times from the first to the last tick of each holder (the
# second column up to the dot: the job) must not overlap. Prints overlaps.
overlaps() {
    awk '{ sub(/\..*/, "", $2); k = $1 " " $2
           if (!(k in a)) { a[k] = $3; n++; key[n] = k; lock[n] = $1 }
           b[k] = $3 }
         END { for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++)
             if (lock[i] == lock[j] && a[key[i]] < b[key[j]] &&
                 a[key[j]] < b[key[i]])
                 print key[i] " overlaps " key[j] }' "$T/work/log"
}
# Jobs that have worked on LOCK, in the order of their first tick.
worked() { awk -v l="$1" '$1 == l { sub(/\..*/, "", $2); if (!s[$2]++) print $2 }' "$T/work/log"; }
