# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What a site adds to the private Slurm of tests/lib/slurm.sh (source that
# first): a site secret, a lock server, an agent on each node.
#
#   site_start [JSON]      the server, Slurm and both agents; JSON are further
#                          keys of the agents' configuration
#   server_start, server_stop, server_pid
#   agent_start NODE, agent_stop NODE
#   agent_pid NODE watch|guard|keeper     (as the node counts)
#   agent_kill NODE        SIGKILL for all three at once
#   say_on NODE COMMAND..  the command line's answer there
#
# Knobs: SITE_LIFETIME (10), SITE_URL (of the server, or of what stands before
# it), SITE_CGROUP (where the agents' cgroups go; a folder that cannot be for
# agents without any).

site_start() { # [JSON]
    head -c 64 /dev/urandom >"$T/etc/secret"
    chmod 400 "$T/etc/secret"
    site_conf "${1:-}"
    slurm_ticks
    server_start && slurm_start && agent_start n1 && agent_start n2
}

site_conf() { # [JSON]
    site_cgroup=$(slurm_cgroup "$T")
    for site_n in n1 n2; do
        [ -z "$site_cgroup" ] || mkdir -p "$site_cgroup/$site_n"
        cat >"$T/etc/$site_n.json.new" <<END
{ "service": { "url": "${SITE_URL:-http://127.0.0.1:7171/}" },
  "secret_file": "$T/etc/secret",
  "defaults": { "lifetime": ${SITE_LIFETIME:-10} },
  "agent": { "cgroup": "${SITE_CGROUP:-$site_cgroup}/$site_n" }${1:+, $1} }
END
        chmod 644 "$T/etc/$site_n.json.new"
        mv "$T/etc/$site_n.json.new" "$T/etc/$site_n.json"
    done
}

server_start() {
    "$B/bin/justalock-server" --listen 127.0.0.1:7171 --state "$T/server" \
        >>"$T/log/server" 2>&1 &
    echo $! >"$T/server.pid"
    wait_for 10 server_answers
}
server_pid() { cat "$T/server.pid"; }
server_answers() {
    "$B/bin/justalock" status --url http://127.0.0.1:7171/ x >/dev/null 2>&1
}
server_stop() {
    kill -KILL "$(server_pid)"
    wait "$(server_pid)" 2>/dev/null
}

agent_start() { # NODE
    leave_on "$1" "$B/bin/justalock-agent" --config "$T/etc/$1.json" \
        >>"$T/log/agent-$1" 2>&1 </dev/null
    wait_for 10 agent_answers "$1" || {
        tail -n 3 "$T/log/agent-$1" | sed 's/^/# /'
        return 1
    }
}
agent_answers() { say_on "$1" list >/dev/null 2>&1; }
say_on() { # NODE COMMAND...
    site_n=$1
    shift
    on "$site_n" env JUSTALOCK_CONFIG="$T/etc/$site_n.json" \
        "$B/bin/justalock" "$@"
}

# From the watch's table: three words of pid and start time.
agent_pid() { # NODE watch|guard|keeper
    case $2 in watch) site_at=72 ;; guard) site_at=80 ;; *) site_at=88 ;; esac
    site_word=$(on "$1" od -An -t u8 -j$site_at -N8 /run/justalock/state/table)
    echo $((site_word & 4194303))
}
agent_pid_is_not() { # NODE PART PID
    site_pid=$(agent_pid "$1" "$2")
    [ "$site_pid" != "$3" ] && on "$1" test -d "/proc/$site_pid"
}
agent_kill() { # NODE
    on "$1" kill -KILL "$(agent_pid "$1" watch)" "$(agent_pid "$1" guard)" \
        "$(agent_pid "$1" keeper)"
}
agent_stop() { # NODE
    on "$1" kill "$(agent_pid "$1" watch)"
    wait_for 10 agent_is_silent "$1"
}
agent_is_silent() { ! agent_answers "$1"; }

# Nothing held or waited for, as the agent of NODE knows.
agent_is_free() { [ "$(say_on "$1" list --json 2>/dev/null | grep -c '"lock"')" = 0 ]; }
