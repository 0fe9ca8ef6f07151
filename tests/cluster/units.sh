#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Our units on a machine that boots: ready when they say so, their sockets,
# watchdogs, reload, restarts under held locks, what hardening leaves.

# shellcheck disable=SC2016
. tests/lib/tap.sh
. tests/lib/node.sh
node_private "$0" "$@"

node_make n1 || exit 1
R=$T/n1/root
mkdir -p "$R/etc/justalock" "$R/etc/sysusers.d"
(umask 077 && head -c 64 /dev/urandom >"$R/etc/justalock/secret")
conf() { # LIFETIME
    printf '{ "service": { "url": "http://127.0.0.1:7171/" },\n  "defaults": { "lifetime": %s } }\n' \
        "$1" >"$R/etc/justalock/justalock.json.new"
    mv "$R/etc/justalock/justalock.json.new" "$R/etc/justalock/justalock.json"
}
conf 20
for u in justalock-agent justalock-server; do
    sed 's|@sbindir@|/opt/justalock/bin|' packaging/systemd/$u.service.in \
        >"$R/etc/systemd/system/$u.service"
    cp packaging/systemd/$u.socket "$R/etc/systemd/system/"
done
cp packaging/systemd/justalock.sysusers "$R/etc/sysusers.d/justalock.conf"
is "its users are made" "$(systemd-sysusers --root="$R" 2>&1 | grep -v ^Creating)" ""
systemctl -q --root="$R" enable justalock-agent.service justalock-server.service 2>/dev/null
is "enabled with their sockets" \
    "$(find "$R/etc/systemd/system" -path '*.wants/*' -name 'justalock*' -printf '%f\n' | sort | xargs)" \
    "justalock-agent.service justalock-agent.socket justalock-server.service justalock-server.socket"
is "systemd finds no fault in them" \
    "$(systemd-analyze verify --root="$R" justalock-agent.service justalock-server.service 2>&1 |
        grep -i justalock | grep -v 'is not executable\|Failed to resolve\|man justalock')" ""
security() { systemd-analyze security --offline=yes --no-pager "$R/etc/systemd/system/$1" 2>/dev/null; }
for limit in server:15 agent:34; do
    unit=justalock-${limit%:*}.service
    security "$unit" >"$T/security.log"
    e=$(sed -n 's/.*exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p' "$T/security.log")
    ok "exposure of the ${limit%:*}, in tenths: $e" [ "${e:-99}" -le "${limit#*:}" ]
    is "each of its exposures has a reason in the unit" \
        "$(sed -n 's/^✗ \([A-Za-z]*\).*/\1/p' "$T/security.log" | sort -u | while read -r what; do
            grep -q "^#.*\<$what\>\|^$what=CAP_" "$R/etc/systemd/system/$unit" || echo "$what"
        done)" ""
done
for c in $(sed -n 's/^CapabilityBoundingSet=//p' packaging/systemd/justalock-agent.service.in); do
    ok "$c has a reason" grep -q "^#.*\<$c\>.*:" packaging/systemd/justalock-agent.service.in
done

ok "it boots" node_boot n1
n1() { timeout 60 nsenter -t "$leader" -a -r -w -- "$@"; }
leader=$(node_leader n1)
both_run() { n1 systemctl -q is-active justalock-agent && n1 systemctl -q is-active justalock-server; }
ok "both run" wait_for 20 both_run
[ "$(n1 systemctl is-active justalock-server)" = active ] ||
    n1 journalctl -u justalock-server --no-pager -o cat | tail -n 20 | sed 's/^/# /'
is "and are active" "$(n1 systemctl is-active justalock-agent justalock-server | xargs)" "active active"
is "no failed unit" "$(n1 systemctl --failed --no-legend | wc -l)" 0
main_of() { n1 systemctl show -P MainPID "$1"; }
is "the server is nobody that counts" \
    "$(n1 ps -o user= -p "$(main_of justalock-server)" | cut -c1-8)" justaloc
is "and has no capability" \
    "$(n1 grep CapEff "/proc/$(main_of justalock-server)/status" | awk '{ print $2 }')" 0000000000000000
is "the keeper is another user" "$(n1 ps -C justalock-keepe -o user= | xargs)" justalock
J=/opt/justalock/bin/justalock
is "config check is content" "$(n1 $J config check | grep -c '^error')" 0
is "root's command holds a lock" "$(n1 $J run x sh -c 'echo in $JUSTALOCK_TOKEN' | grep -c '^in [1-9]')" 1
like "in a cgroup of its own" "$(n1 $J run x cat /proc/self/cgroup)" 'justalock/[0-9a-f]*/command-[0-9]+'

# ---- restarts under a held lock ----------------------------------------------------
hold() { # NAME: until /run/NAME.go is there
    n1 $J run "$1" sh -c "while [ ! -e /run/$1.go ]; do sleep 0.05; done" >/dev/null 2>&1 &
    holder=$!
    wait_for 10 is_held "$1"
}
is_held() { n1 $J list 2>/dev/null | grep -q "^held .*$1"; }
let_go() {
    n1 touch "/run/$1.go"
    wait $holder
}
hold keep
agent=$(main_of justalock-agent)
n1 systemctl restart justalock-agent
ok "agent restarted: the lock is held" wait_for 10 is_held keep
ok "agent restarted: another process" [ "$(main_of justalock-agent)" != "$agent" ]
n1 systemctl restart justalock-server
ok "server restarted: the lock is held" wait_for 10 is_held keep
let_go keep
is "and the command ended well" $? 0

hold stop
n1 systemctl stop justalock-agent.socket
n1 systemctl stop justalock-agent.service
is "stopped as a whole: nobody listens" "$(n1 $J list >/dev/null 2>&1; echo $?)" 69
n1 systemctl start justalock-agent.socket
ok "its socket starts it, with what it held" wait_for 10 is_held stop
ok "the agent runs" wait_for 10 n1 systemctl -q is-active justalock-agent
let_go stop
is "stopped and started: the command ended well" $? 0

# A module that comes in between waits for the new agent.
n1 systemctl stop justalock-agent.service
ok "while only the socket is there, who asks waits and is served" \
    [ "$(n1 $J run between echo served 2>/dev/null)" = served ]

# ---- watchdog, kill ------------------------------------------------------------------
hold dog
agent=$(main_of justalock-agent)
n1 kill -KILL "$agent"
is_new() { [ "$(main_of "$1")" != "$2" ] && [ "$(n1 systemctl is-active "$1")" = active ]; }
ok "watch killed: started again" wait_for 20 is_new justalock-agent "$agent"
ok "watch killed: the lock is held" wait_for 10 is_held dog
agent=$(main_of justalock-agent)
n1 kill -STOP "$agent"
ok "watch stopped: replaced, by its guard or systemd" wait_for 30 is_new justalock-agent "$agent"
ok "watch stopped: the lock is held" wait_for 10 is_held dog
ok "and systemd has it in hand" [ "$(n1 systemctl show -P NRestarts justalock-agent)" -le 4 ]
let_go dog
is "after both: the command ended well" $? 0
server=$(main_of justalock-server)
n1 kill -STOP "$server"
ok "server stopped: systemd's watchdog replaces it" wait_for 60 is_new justalock-server "$server"
is "and it serves" "$(n1 $J run x echo in 2>/dev/null)" in

# ---- reload ------------------------------------------------------------------------------
conf 25
n1 systemctl reload justalock-agent
is "reload" $? 0
conf 0
n1 systemctl reload justalock-agent 2>/dev/null
is "reload: a wrong configuration is refused" "$([ $? != 0 ] && echo refused)" refused
like "reload: and the journal says why" \
    "$(n1 journalctl -u justalock-agent -o cat --no-pager | tail -n 20)" \
    'lifetime: 0 is not within 1 and 65535'
is "reload: the old one is in force" "$(n1 $J run x echo in 2>/dev/null)" in
is "still no failed unit" "$(n1 systemctl --failed --no-legend)" ""
node_off n1 2>/dev/null
tap_done
