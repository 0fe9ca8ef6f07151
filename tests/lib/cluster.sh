# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# A cluster of machines that boot: head with slurmctld and the lock server, n1
# and n2 with slurmd, sshd and the agent, set up as the manuals say. Source it
# after tests/lib/node.sh, then past node_private:
#
#   cluster_needs            (before node_private) skips without packages
#   cluster_make             the three, before they boot
#   cluster_up               boots them and waits for Slurm and the locks
#   on NODE COMMAND...       as root in it, bounded
#   job NODE OPTION... CMD   alice's batch job of one line; prints its number
#   login USER@NODE FROM CMD from another node by ssh, in the background
#   started N, running N     so many works have begun; do run now
#   waits N                  so many wait at the server
#   note_leases              what the server would keep till when, on record
#   judge TEXT N             the oracle's word on at least N works
#
# What jobs and logins run is /history/work, see tests/faults/work.c; all nodes
# have one kernel and so one clock for it, whatever time they think it is.

CLUSTER_NODES='head n1 n2'
W='/history/work /history/sock' # what a work runs

# Before node_private: without packages there is nothing to see.
cluster_needs() {
    ls "${DEBS:-${B:-build}/deb}"/justalock-agent_*.deb >/dev/null 2>&1 ||
        node_skip "no packages: make deb"
}

cluster_make() {
    node_net || return 1
    mkdir -m 777 "$T/history"
    cp "$B/tests/faults/work" "$T/history/"
    "$B/tests/faults/recorder" "$T/history/sock" "$T/history/log" \
        2>"$T/recorder.log" &
    (umask 077 && head -c 64 /dev/urandom >"$T/secret")
    ssh-keygen -q -t ed25519 -N '' -f "$T/user_key"
    (cd "$T" && umask 077 && authority site &&
        certificate head site DNS:head 2 &&
        openssl rand -hex 32 >token) || return 1
    cluster_net=1
    for cluster_n in $CLUSTER_NODES; do
        node_make "$cluster_n" "10.77.0.$cluster_net" &&
            cluster_node "$cluster_n" || return 1
        cluster_net=$((cluster_net + 1))
    done
    cluster_head || return 1
    for cluster_n in n1 n2; do
        cluster_compute "$cluster_n" || return 1
    done
}

# What every node has: users, Slurm and munge as ever, one configuration.
cluster_node() { # NODE
    R=$T/$1/root
    echo "--bind=$T/history:/history" >>"$T/$1/options"
    printf '127.0.0.1 localhost\n10.77.0.1 head\n10.77.0.2 n1\n10.77.0.3 n2\n' \
        >"$R/etc/hosts"
    cluster_slurm_conf >"$R/etc/slurm/slurm.conf"
    for cluster_u in alice:2001 bob:2002; do
        chroot "$R" useradd -m -u "${cluster_u#*:}" "${cluster_u%:*}"
        mkdir -p -m 755 "$R/home/${cluster_u%:*}/.ssh"
        cp "$T/user_key.pub" "$R/home/${cluster_u%:*}/.ssh/authorized_keys"
    done
    cp "$T/user_key" "$R/root/key"
}

cluster_head() {
    R=$T/head/root
    cluster_install head libjustalock1 justalock justalock-server || return 1
    systemctl -q --root="$R" disable slurmd 2>/dev/null
    # justalock-server(8): the drop-in and its files
    mkdir -p "$R/etc/justalock-server" \
        "$R/etc/systemd/system/justalock-server.service.d"
    cluster_example head 'as a drop-in of its unit' \
        >"$R/etc/systemd/system/justalock-server.service.d/override.conf"
    printf '{ "clients": { "nodes": { "token_sha256": "%s" } } }\n' \
        "$(tr -d '\n' <"$T/token" | sha256sum | cut -d ' ' -f 1)" \
        >"$R/etc/justalock-server/access.json"
    install -m 644 "$T/head.pem" "$R/etc/justalock-server/cert.pem"
    install -m 640 "$T/head.key" "$R/etc/justalock-server/key.pem"
    chroot "$R" chgrp justalock-server /etc/justalock-server/key.pem
}

# The example in justalock-server(8), as installed, after those words.
cluster_example() { # NODE WORDS
    zcat "$T/$1/root/usr/share/man/man8/justalock-server.8.gz" |
        awk -v words="$2" '/^\.Ed/ { on = 0 } on { gsub(/\\e/, "\\"); print }
            index($0, words) { found = 1 }
            found && /^\.Bd/ { on = 1; found = 0 }'
}

cluster_compute() { # NODE
    R=$T/$1/root
    cluster_install "$1" libjustalock1 justalock justalock-agent \
        libpam-justalock slurm-spank-justalock || return 1
    systemctl -q --root="$R" disable slurmctld 2>/dev/null
    mkdir -p "$R/etc/justalock"
    cluster_conf >"$R/etc/justalock/justalock.json"
    install -m 400 "$T/secret" "$R/etc/justalock/secret"
    ln -s /usr/share/justalock/plugstack.conf.d/justalock.conf \
        "$R/etc/slurm/plugstack.conf.d/"
    # pam_justalock(8): after pam_loginuid.
    sed -i '/pam_loginuid/a session required pam_justalock.so lock=work users=alice wait=5m\
session required pam_justalock.so lock=long users=bob' "$R/etc/pam.d/sshd"
    install -m 644 "$T/site.pem" "$R/etc/justalock/ca.pem"
    install -m 600 "$T/token" "$R/etc/justalock/token"
}

cluster_conf() {
    cat <<END
{
    $(cluster_example head 'and on the hosts, in' | sed 's/head.example.org/head/'),
    "slurm": { "cluster": "b7d0e1c2-three" },
    "defaults": { "lifetime": 20 },
    "locks": {
        "work": { "for": ["slurm", "pam", "command"] },
        "long": { "for": ["slurm", "pam", "command"], "lifetime": 60 },
        "slow": { "lifetime": 60 }
    }
}
END
}

cluster_slurm_conf() {
    cat <<'END'
ClusterName=three
SlurmctldHost=head
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PrologFlags=Alloc
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
MessageTimeout=10
KillWait=3
NodeName=n[1-2] CPUs=16 RealMemory=1000
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
END
}

# The packages of $B/deb, or of another folder.
cluster_install() { # NODE PACKAGE...
    cluster_r=$T/$1/root
    mount --bind "${DEBS:-$B/deb}" "$cluster_r/mnt" || return 1
    shift
    # Nothing is to be started: it has not booted.
    # shellcheck disable=SC2016
    DEBIAN_FRONTEND=noninteractive chroot "$cluster_r" sh -c 'cd /mnt &&
        dpkg -i $(for p; do echo "$p"_[0-9]*.deb; done)' sh "$@" \
        >"$T/install.log" 2>&1
    cluster_rc=$?
    [ $cluster_rc = 0 ] || sed 's/^/# /' "$T/install.log"
    umount "$cluster_r/mnt"
    return $cluster_rc
}

# Into FOLDER1 the packages of $DEBS, into FOLDER2 those of $B/deb with a higher
# version: what the two are built from may differ or not.
cluster_next() { # FOLDER1 FOLDER2
    for cluster_f in "$B"/deb/*[a-z1]_[0-9]*.deb; do
        case $cluster_f in *-dbgsym_* | *-dev_*) continue ;; esac
        cp "${DEBS:-$B/deb}/${cluster_f##*/}" "$1" &&
            dpkg-deb -R "$cluster_f" "$T/deb" || return 1
        cluster_v=$(sed -n 's/^Version: //p' "$T/deb/DEBIAN/control")
        sed -i "s/^Version: .*/&+next/; s/(= $cluster_v)/(= $cluster_v+next)/g" \
            "$T/deb/DEBIAN/control"
        dpkg-deb -Znone --root-owner-group -b "$T/deb" "$2" >"$T/deb.log" || return 1
        rm -rf "$T/deb"
    done
}

cluster_clock() { # NODE UNIT SECONDS: as if its wall clock were off by so much
    cluster_d=$T/$1/root/etc/systemd/system/$2.service.d
    mkdir -p "$cluster_d"
    cluster_so=$(cd "$T/$1/root" && echo usr/lib/*/faketime/libfaketime.so.1)
    cat >"$cluster_d/clock.conf" <<END
[Service]
Environment=LD_PRELOAD=/$cluster_so FAKETIME=$3 FAKETIME_DONT_FAKE_MONOTONIC=1
END
}

cluster_up() {
    for cluster_n in $CLUSTER_NODES; do
        node_start "$cluster_n"
    done
    for cluster_n in $CLUSTER_NODES; do
        node_wait "$cluster_n" || return 1
    done
    wait_for 30 cluster_is_up
}
cluster_why() {
    on n1 timeout 5 sinfo -N 2>&1 | sed 's/^/# /'
    for cluster_n in $CLUSTER_NODES; do
        on "$cluster_n" systemctl --failed --no-legend | sed "s/^/# $cluster_n: /"
        on "$cluster_n" journalctl --no-pager -o short-monotonic -n 15 \
            -u 'justalock*' | sed "s/^/# $cluster_n: /"
    done
}
cluster_is_idle() {
    [ "$(on n1 timeout 5 sinfo -h -o '%t %D' 2>/dev/null)" = "idle 2" ]
}
cluster_is_up() {
    cluster_is_idle &&
        on n1 timeout 5 justalock run -n up true &&
        on n2 timeout 5 justalock run -n up true
}

on() { # NODE COMMAND...
    cluster_on=$(node_leader "$1") || return 1
    shift
    timeout "${ON_TIMEOUT:-60}" nsenter -t "$cluster_on" -a -r -w -- "$@"
}

job() { # NODE OPTION... COMMAND
    cluster_n=$1
    shift
    cluster_all=
    while [ $# -gt 1 ]; do
        cluster_all="$cluster_all $1"
        shift
    done
    # shellcheck disable=SC2086
    on n2 runuser -u alice -- sbatch --parsable --no-requeue -D /tmp \
        -o "/history/job-%j.out" -w "$cluster_n" $cluster_all --wrap "$1"
}
login() { # USER@NODE FROM COMMAND
    cluster_p=$(node_leader "$2")
    nsenter -t "$cluster_p" -a -r -w -- ssh -i /root/key -o BatchMode=yes \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR "$1" "$3" </dev/null >>"$T/login.log" 2>&1 &
}

started() { [ "$(grep -c '^start' "$T/history/log")" -ge "$1" ]; }
running() {
    [ "$(awk '$1 == "start" { n++ } $1 == "end" { n-- } END { print n + 0 }' \
        "$T/history/log")" -eq "$1" ]
}
raw_ns() {
    python3 -c 'import time
print(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))'
}
fault() { # KIND [LOCK]
    echo "fault $1 $(raw_ns)${2:+ $2}" >>"$T/history/log"
}

lock_of() { # N: of the Nth work to start
    awk -v n="$1" '$1 == "start" && ++i == n { print $2 }' "$T/history/log"
}

# The Nth work began when no lease that is on record before lasted.
after_lease() { # N
    awk -v n="$1" '$1 == "lease" && $4 > t { t = $4 }
        $1 == "start" && ++i == n { ok = t && $4 > t }
        END { exit !ok }' "$T/history/log"
}

server_says() { # JQ-FILTER
    nsenter -t "$(node_leader head)" -n curl -s -m 5 \
        http://127.0.0.1:7171/v1/locks >"$T/locks.json" &&
        jq -r "$1" "$T/locks.json"
}

waits() { # N
    [ "$(server_says '[.locks[].waiters] | add')" = "$1" ]
}

# The clock is read first: so long at the least.
note_leases() {
    cluster_t=$(raw_ns)
    server_says empty || return 1
    jq -r '.locks[] | select(.held) |
        "\(.lock | rtrimstr("...")) \(.token) \(.expires_ms)"' \
        "$T/locks.json" |
        while read -r cluster_id cluster_token cluster_ms; do
            cluster_lock=$(awk -v id="$cluster_id" '$1 == "start" &&
                index($2, id) == 1 { print $2; exit }' "$T/history/log")
            [ -z "$cluster_lock" ] ||
                echo "lease $cluster_lock $cluster_token $((cluster_t + cluster_ms * 1000000))"
        done >>"$T/history/log"
}

judge() { # TEXT LEAST
    cluster_said=$(tests/faults/oracle --least "$2" "$T/history/log" 2>&1)
    tap_result $? "$1"
    printf '%s\n' "$cluster_said" | sed 's/^/# /'
}
