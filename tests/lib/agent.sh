# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# A private agent with a private lock service for shell tests. Source it after
# tests/lib/tap.sh, from the top of the repository, then:
#
#   agent_private "$0" "$@"  starts the script again in private mount, pid and
#                            net namespaces (skips where that is missing); past
#                            it, $T is a folder in memory
#   service_start, service_stop, service_cut, service_back
#   agent_start [OPTION...]  waits until it answers
#   agent_stop               a plain stop
#   agent_pid watch|guard|keeper
#   client VERB...           build/tests/agent/wire_client on its socket
#   ticks FILE               a program that says every 20 ms that it lives
#
# All processes die with the script; nothing in it ever runs in the initial
# pid namespace.

agent_private() { # SCRIPT ARG...
    if [ -n "${JUSTALOCK_PRIVATE:-}" ]; then
        agent_enter
        return
    fi
    if [ "$(id -u)" != 0 ] ||
        ! unshare --mount --pid --net --fork true 2>/dev/null; then
        skip "$0" "needs root and private namespaces"
        tap_done
        exit 0
    fi
    agent_dir=$(mktemp -d "${TMPDIR:-/tmp}/justalock-agent.XXXXXX") || exit 1
    chmod 755 "$agent_dir"
    agent_tree "${agent_dir##*.}"
    # shellcheck disable=SC2016
    JUSTALOCK_PRIVATE=$agent_dir JUSTALOCK_CGROUPS=$agent_mount sh -c '
        tree=$1
        shift
        [ -z "$tree" ] || echo 0 >"$tree/cgroup.procs" || exit 1
        exec unshare --mount --pid --net ${tree:+--cgroup} --fork \
            --kill-child=KILL --mount-proc /bin/sh "$@"' \
        sh "$agent_tree" "$@" &
    agent_unshare=$!
    trap 'kill -KILL $agent_unshare' INT TERM HUP
    wait $agent_unshare
    agent_rc=$?
    rmdir "$agent_dir"
    wait_for 10 agent_no_tree || {
        echo "# $agent_tree cannot be removed"
        agent_rc=1
    }
    exit $agent_rc
}

# A place in the tree of cgroups for this run alone, taken away whatever ends
# it. Both variables stay empty where there is no cgroup v2 to be had.
agent_tree() { # SUFFIX
    agent_tree='' agent_mount=$(agent_mounts | tail -n 1)
    # shellcheck disable=SC2016
    [ -n "$agent_mount" ] && unshare --mount --cgroup sh -c \
        'umount -l "$0" && mount -t cgroup2 cgroup2 "$0"' "$agent_mount" \
        2>/dev/null && mkdir "$agent_mount/justalock-test-$1" 2>/dev/null &&
        agent_tree=$agent_mount/justalock-test-$1 || agent_mount=
}
agent_no_tree() {
    [ -d "$agent_tree" ] || return 0
    find "$agent_tree" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -d "$agent_tree" ]
}
agent_mounts() { awk '/ - cgroup2 / { print $5 }' /proc/self/mountinfo; }

agent_enter() {
    [ "$$" = 1 ] || {
        echo "not the first process of a private pid namespace" >&2
        exit 1
    }
    T=$JUSTALOCK_PRIVATE
    B=$(cd "${B:-build}" && pwd)
    AGENT_STATE=$T/state
    # The build may lie where ordinary users do not get to, as in /root.
    agent_build=$B
    B=$T/build
    unset NOTIFY_SOCKET INVOCATION_ID
    mount -t tmpfs -o mode=755 tmpfs "$T" || exit 1
    mount -t tmpfs -o mode=755 tmpfs /run || exit 1
    [ -z "$JUSTALOCK_CGROUPS" ] || {
        umount -l "$JUSTALOCK_CGROUPS" &&
            mount -t cgroup2 cgroup2 "$JUSTALOCK_CGROUPS" || exit 1
    }
    mkdir -m 755 "$B" && mount --bind "$agent_build" "$B" || exit 1
    ip link set lo up 2>/dev/null
    mkdir "$T/srv"
    head -c 64 /dev/urandom >"$T/secret"
    chmod 600 "$T/secret"
    agent_conf '"lifetime": 10'
    trap agent_end EXIT
}

agent_conf() { # DEFAULTS [MORE]
    cat >"$T/conf.json.new" <<END
{ "service": {"url": "unix:$T/srv.sock"}, "secret_file": "$T/secret",
  "defaults": {$1}${2:+, $2} }
END
    chmod 644 "$T/conf.json.new"
    mv "$T/conf.json.new" "$T/conf.json"
}

agent_end() {
    [ -z "${JUSTALOCK_KEEP:-}" ] || cp "$T"/*.log "$JUSTALOCK_KEEP/"
    # This namespace is ours alone; we are its first process and stay.
    kill -KILL -1 2>/dev/null
    wait
}

# The folder of our own cgroups, where there is one.
agent_cgroups() {
    [ -s "$AGENT_STATE/table" ] || return 0
    agent_tag=$(dd if="$AGENT_STATE/table" bs=1 skip=56 count=8 2>/dev/null)
    agent_mounts | while read -r m; do
        [ ! -d "$m/justalock/$agent_tag" ] || echo "$m/justalock/$agent_tag"
    done
}

service_start() {
    "$B/bin/justalock-server" --listen "unix:$T/srv.sock" --state "$T/srv" \
        >>"$T/srv.log" 2>&1 &
    SERVICE=$!
    wait_for 10 test -S "$T/srv.sock" && chmod 666 "$T/srv.sock"
}
service_stop() { kill "$SERVICE" && wait "$SERVICE"; }
service_cut() { kill -STOP "$SERVICE"; }
service_back() { kill -CONT "$SERVICE"; }

agent_start() {
    "$B/bin/justalock-agent" --config "$T/conf.json" --socket /run/agent.sock \
        --state "$AGENT_STATE" --keeper-user nobody "$@" >>"$T/agent.log" \
        2>&1 &
    AGENT=$!
    wait_for 10 agent_answers
}
agent_answers() { client ping >/dev/null 2>&1; }
agent_stop() {
    kill "$(agent_pid watch)"
    wait "$AGENT" 2>/dev/null
    wait_for 10 agent_is_silent
}
agent_is_silent() { ! agent_answers; }

# From the table: three words of pid and start time, see deadlines.h.
agent_pid() { # watch|guard|keeper
    case $1 in watch) agent_at=72 ;; guard) agent_at=80 ;; keeper) agent_at=88 ;; esac
    agent_word=$(od -An -t u8 -j$agent_at -N8 "$AGENT_STATE/table")
    echo $((agent_word & 4194303))
}
agent_pid_is_not() { # PART PID
    [ "$(agent_pid "$1")" != "$2" ] &&
        [ -d "/proc/$(agent_pid "$1")" ]
}

client() { "$B/tests/agent/wire_client" /run/agent.sock "$@"; }

# Writes the time in ms every 20 ms. A trap makes it deaf to TERM.
ticks() { # FILE
    cat >"$T/ticks" <<'END'
#!/bin/sh
[ "${2:-}" != deaf ] || trap '' TERM INT HUP
while :; do
    echo $(($(date +%s%N) / 1000000)) >>"$1"
    sleep 0.02
done
END
    chmod 755 "$T/ticks"
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
last_tick() { tail -n 1 "$1" 2>/dev/null; }
is_ticking() { # FILE
    agent_t=$(last_tick "$1")
    [ -n "$agent_t" ] && [ $(($(now_ms) - agent_t)) -lt 400 ]
}
item_of() { client list | grep "^item [0-9] $1 "; } # LOCK
left_of() { item_of "$1" | sed -n 's/.* left=\(-*[0-9]*\) .*/\1/p' | head -n 1; }
is_held() { item_of "$1" | grep -q '^item 2 '; }
is_free() { ! client list | grep -q "^item [0-9] $1 "; }
