# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Machines that boot: Debian 12 with a real systemd in systemd-nspawn. Source
# it after tests/lib/tap.sh, from the top of the repository, then:
#
#   node_private "$0" "$@"  starts the script again in private mount, pid, net
#                           and uts namespaces (skips where that or a tool is
#                           missing); past it, $T is a folder in memory
#   node_boot NAME          waits until it runs; the build is at /opt/justalock
#   in_node NAME COMMAND..  as root in it
#   node_off NAME           a clean poweroff; node_cut: its power
#
# Several on one network:
#   node_net                before all: a bridge of this namespace
#   node_make NAME ADDRESS  a node with that address (/24) on it, and no build
#   node_start NAME         boots it and does not wait; node_wait NAME does
#   node_link NAME up|down  its network cable
#
# The tree under them all is made once, in $B/node, and never changed.

NODE_PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,openssh-client,sudo,procps,iproute2,libcurl4,libjson-c5,libnettle8,libseccomp2,libmicrohttpd12,libsqlite3-0,munge,slurmctld,slurmd,slurm-client,libfaketime
NODE_BRIDGE=jl0

# Where no machine can boot that is a skip; with NODES=must it is a failure.
node_skip() {
    if [ "${NODES:-}" = must ]; then
        ok "$0: $1" false
    else
        skip "$0" "$1"
    fi
    tap_done
    exit
}

node_private() { # SCRIPT ARG...
    if [ -n "${JUSTALOCK_PRIVATE:-}" ]; then
        node_enter
        return
    fi
    for node_need in systemd-nspawn debootstrap unshare nsenter ip; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$node_need" >/dev/null ||
            node_skip "$node_need is not installed"
    done
    [ "$(id -u)" = 0 ] || node_skip "needs root"
    unshare --mount --pid --net --uts --fork true 2>/dev/null ||
        node_skip "no private namespaces here"
    # The server's unit has PrivateUsers=, and in a chroot the kernel makes none.
    unshare --user true 2>/dev/null ||
        node_skip "no user namespaces here, as in a chroot"
    node_base || node_skip "no Debian tree: see ${B:-build}/node.log"
    node_dir=$(mktemp -d "${TMPDIR:-/tmp}/justalock-node.XXXXXX") || exit 1
    JUSTALOCK_PRIVATE=$node_dir unshare --mount --pid --net --uts --fork \
        --kill-child=KILL --mount-proc /bin/sh "$@" &
    node_pid=$!
    trap 'kill -KILL $node_pid' INT TERM HUP
    wait $node_pid
    node_rc=$?
    rmdir "$node_dir"
    # The last of the processes may still be leaving.
    wait_for 5 node_no_cgroups "${node_dir##*.}"
    exit $node_rc
}

# One at a time: tests run side by side.
node_base() {
    mkdir -p "${B:-build}"
    (
        flock 9
        [ "$(cat "${B:-build}/node/etc/node-packages" 2>/dev/null)" = \
            "$NODE_PACKAGES" ] || node_debootstrap
    ) 9>"${B:-build}/node.lock"
}
node_debootstrap() {
    rm -rf "${B:-build}/node.new" "${B:-build}/node"
    echo "# making a Debian tree, once" >&2
    PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase \
        --include=$NODE_PACKAGES bookworm "${B:-build}/node.new" \
        >"${B:-build}/node.log" 2>&1 || return 1
    rm -f "${B:-build}"/node.new/etc/ssh/ssh_host_*
    echo $NODE_PACKAGES >"${B:-build}/node.new/etc/node-packages"
    mv "${B:-build}/node.new" "${B:-build}/node"
}

node_enter() {
    T=$JUSTALOCK_PRIVATE
    PATH=$PATH:/usr/sbin:/sbin
    B=$(cd "${B:-build}" && pwd)
    mount -t tmpfs -o mode=755 tmpfs "$T" || exit 1
    mount -t tmpfs -o mode=755 tmpfs /run || exit 1
    ip link set lo up
    unset NOTIFY_SOCKET INVOCATION_ID
    trap node_end EXIT
}
node_end() {
    [ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T"/*.log "$JUSTALOCK_KEEP/"
    kill -KILL -1 2>/dev/null
    wait
}

# Where a systemd makes its cgroups, here: each node gets one of its own below,
# so that they see nothing of each other and leave nothing behind.
node_cgroups() {
    awk '/ - cgroup2 / || / - cgroup .*name=systemd/ { print $5 }' \
        /proc/self/mountinfo
}
node_no_cgroups() { # SUFFIX
    node_cgroups | while read -r node_cg; do
        [ ! -d "$node_cg/justalock-node-$1" ] ||
            find "$node_cg/justalock-node-$1" -depth -type d \
                -exec rmdir {} + 2>/dev/null || exit 1
    done
}

node_net() {
    ip link add $NODE_BRIDGE type bridge && ip link set $NODE_BRIDGE up
}
node_link() { ip link set "vb-$1" "$2"; }

# The files of a node before it boots: $T/NAME/root.
node_make() { # NAME [ADDRESS]
    mkdir -p "$T/$1/up" "$T/$1/work" "$T/$1/root"
    mount -t overlay overlay -o \
        "lowerdir=$B/node,upperdir=$T/$1/up,workdir=$T/$1/work" "$T/$1/root" ||
        return 1
    echo "$1" >"$T/$1/root/etc/hostname"
    # The tree under it has none, and sshd does not start without.
    chroot "$T/$1/root" ssh-keygen -A >/dev/null
    [ -n "${2:-}" ] || {
        echo "--bind-ro=$B:/opt/justalock" >"$T/$1/options"
        return
    }
    echo "--network-bridge=$NODE_BRIDGE" >"$T/$1/options"
    cat >"$T/$1/root/etc/systemd/network/10-host0.network" <<END
[Match]
Name=host0
[Network]
Address=$2/24
LinkLocalAddressing=no
IPv6AcceptRA=no
END
    systemctl -q --root="$T/$1/root" enable systemd-networkd 2>/dev/null
}

node_boot() { # NAME [OPTION...]
    node_start "$@" && node_wait "$1"
}
node_start() { # NAME [OPTION...]
    node_name=$1
    shift
    [ -d "$T/$node_name/root" ] || node_make "$node_name" || return 1
    # shellcheck disable=SC2046,SC2016
    sh -c 'for cg in $1; do
            d=$cg/justalock-node-${2##*.}/$3
            mkdir -p "$d" && echo 0 >"$d/cgroup.procs" || exit
        done
        shift 3
        exec "$@"' sh "$(node_cgroups)" "$T" "$node_name" \
        systemd-nspawn -q -D "$T/$node_name/root" -b --register=no --keep-unit \
        --link-journal=no -M "$node_name" $(cat "$T/$node_name/options") "$@" \
        </dev/null >>"$T/$node_name.log" 2>&1 &
    echo $! >"$T/$node_name/nspawn"
}
node_wait() { wait_for 60 node_runs "$1"; }
# Its first process, as we count.
node_leader() {
    node_p=$(cat "$T/$1/nspawn")
    # No newline at its end.
    node_l=$(cut -d ' ' -f 1 "/proc/$node_p/task/$node_p/children")
    [ -n "$node_l" ] && echo "$node_l"
}
in_node() { # NAME COMMAND...
    node_l=$(node_leader "$1") || return 1
    shift
    nsenter -t "$node_l" -a -r -w -- "$@"
}
node_runs() {
    case $(in_node "$1" systemctl is-system-running 2>/dev/null) in
    running | degraded) ;;
    *) return 1 ;;
    esac
}
node_off() {
    in_node "$1" systemctl poweroff
    wait "$(cat "$T/$1/nspawn")"
}
node_cut() { kill -KILL "$(node_leader "$1")"; }
