# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# A disk that can be frozen: who writes to it then is in D state, and nothing
# ends it. Source it after tests/lib/tap.sh, from the top of the repository:
#
#   stuck_disk "$0" "$@"  starts the script again, twice, in a private mount
#                         namespace (skips where that or a tool is missing);
#                         past it, $disk is a small ext4 in memory
#   stuck_freeze, stuck_thaw
#
# Call it before agent_private or slurm_private. Its middle shell thaws the
# disk whatever ends the script; at its own end the script does so first.

stuck_skip() { # WHY
    skip "$stuck_script" "$1"
    tap_done
    exit 0
}
stuck_disk() { # SCRIPT ARG...
    stuck_script=$1
    PATH=$PATH:/usr/sbin:/sbin
    disk=${STUCK:-}/disk
    [ -z "${JUSTALOCK_PRIVATE:-}" ] || return 0
    if [ -n "${STUCK:-}" ]; then
        mount -t tmpfs tmpfs "$STUCK" && truncate -s 4M "$STUCK/image" &&
            mkfs.ext4 -q "$STUCK/image" && mkdir "$disk" &&
            mount -o loop "$STUCK/image" "$disk" && chmod 1777 "$disk" ||
            stuck_skip "no loop device with ext4 here"
        trap stuck_thaw EXIT
        return 0
    fi
    for stuck_need in mkfs.ext4 fsfreeze unshare; do
        command -v $stuck_need >/dev/null ||
            stuck_skip "$stuck_need is not installed"
    done
    [ "$(id -u)" = 0 ] || stuck_skip "needs root"
    STUCK=$(mktemp -d "${TMPDIR:-/tmp}/justalock-stuck.XXXXXX") || exit 1
    chmod 755 "$STUCK"
    export STUCK
    unshare --mount /bin/sh "$@" &
    stuck_inner=$!
    trap 'kill $stuck_inner' INT TERM HUP
    wait $stuck_inner
    stuck_rc=$?
    wait $stuck_inner 2>/dev/null
    rmdir "$STUCK"
    exit $stuck_rc
}
stuck_freeze() { fsfreeze -f "$disk"; }
stuck_thaw() { fsfreeze -u "$disk" 2>/dev/null; }
