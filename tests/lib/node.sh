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
# The tree under them all is made once, in $B/node, and never changed.

NODE_PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,procps,iproute2,libcurl4,libjson-c5,libnettle8,libseccomp2,libmicrohttpd12,libsqlite3-0

node_skip() {
    skip "$0" "$1"
    tap_done
    exit 0
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
    node_base || node_skip "no Debian tree: see ${B:-build}/node.log"
    node_dir=$(mktemp -d "${TMPDIR:-/tmp}/justalock-node.XXXXXX") || exit 1
    JUSTALOCK_PRIVATE=$node_dir unshare --mount --pid --net --uts --fork \
        --kill-child=KILL --mount-proc /bin/sh "$@" &
    node_pid=$!
    trap 'kill -KILL $node_pid' INT TERM HUP
    wait $node_pid
    node_rc=$?
    rmdir "$node_dir"
    exit $node_rc
}

node_base() { # once, by the first of those that run beside each other
    mkdir -p "${B:-build}"
    flock "${B:-build}/node.lock" sh -c '. "$1"; node_base_make' sh \
        tests/lib/node.sh
}
node_base_make() {
    [ ! -e "${B:-build}/node/etc/debian_version" ] || return 0
    rm -rf "${B:-build}/node.new"
    echo "# making a Debian tree, once" >&2
    PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase \
        --include=$NODE_PACKAGES bookworm "${B:-build}/node.new" \
        >"${B:-build}/node.log" 2>&1 || return 1
    rm -f "${B:-build}"/node.new/etc/ssh/ssh_host_*
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

# The files of a node before it boots: $T/NAME/root.
node_make() { # NAME
    mkdir -p "$T/$1/up" "$T/$1/work" "$T/$1/root"
    mount -t overlay overlay -o \
        "lowerdir=$B/node,upperdir=$T/$1/up,workdir=$T/$1/work" "$T/$1/root" ||
        return 1
    echo "$1" >"$T/$1/root/etc/hostname"
    # The tree under it has none, and sshd does not start without.
    chroot "$T/$1/root" ssh-keygen -A >/dev/null
}

node_boot() { # NAME [OPTION...]
    node_name=$1
    shift
    [ -d "$T/$node_name/root" ] || node_make "$node_name" || return 1
    systemd-nspawn -q -D "$T/$node_name/root" -b --register=no --keep-unit \
        --link-journal=no -M "$node_name" --bind-ro="$B:/opt/justalock" "$@" \
        </dev/null >>"$T/$node_name.log" 2>&1 &
    echo $! >"$T/$node_name/nspawn"
    wait_for 60 node_runs "$node_name"
}
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
