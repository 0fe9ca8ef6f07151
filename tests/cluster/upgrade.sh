#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The packages under held locks: upgraded, downgraded, removed, purged.

. tests/lib/tap.sh
. tests/lib/node.sh
. tests/lib/certs.sh
. tests/lib/cluster.sh
cluster_needs
node_private "$0" "$@"

cluster_make || exit 1
mkdir "$T/history/this" "$T/history/next"
ok "packages of a higher version" cluster_next "$T/history/this" "$T/history/next"
ok "three machines boot, with Slurm and locks" cluster_up || cluster_why

head='libjustalock1 justalock justalock-server'
node="libjustalock1 justalock justalock-agent libpam-justalock slurm-spank-justalock"
# shellcheck disable=SC2016
put='cd "$1" && shift && dpkg -i $(for p; do echo "$p"_*.deb; done)'
packages() { # this|next: on all three
    # shellcheck disable=SC2086
    quiet on n1 sh -c "$put" sh "/history/$1" $node &&
        quiet on head sh -c "$put" sh "/history/$1" $head &&
        quiet on n2 sh -c "$put" sh "/history/$1" $node
}
quiet() { # COMMAND...: says something only where it fails
    "$@" >"$T/packages.log" 2>&1 </dev/null || {
        sed 's/^/# /' "$T/packages.log"
        return 1
    }
}
version() { on "$1" dpkg-query -W -f '${Version}' "$2"; }
# Who comes meanwhile waits at the socket and is served. Ends with /history/stop.
ask() { # NODE
    rm -f "$T/history/stop"
    # shellcheck disable=SC2016
    ON_TIMEOUT=100 on "$1" sh -c 'while [ ! -e /history/stop ]; do
        justalock run -w 20s "ask-$1" true || echo "refused: $?"
        echo asked
    done' sh "$1" >"$T/ask-$1" 2>&1 &
}
running_new() { # NODE UNIT: its processes are of what is installed
    on "$1" sh -c 'p=$(systemctl show -P MainPID "$1")
        [ "$p" != 0 ] && ! readlink "/proc/$p/exe" | grep deleted' sh "$2"
}

first=$(job n1 --lock=slow "$W 0")
login bob@n2 head "$W 0"
ok "a job on n1 and a login on n2 hold locks" wait_for 30 started 2
job n2 --lock=slow "$W 500" >/dev/null
ON_TIMEOUT=170 on n1 justalock run -w 5m long /history/work /history/sock 500 2>/dev/null &
ok "others wait for both" wait_for 30 waits 2
held='[.locks[] | select(.held and .waiters > 0) | .token] | sort | @csv'
before=$(server_says "$held")
base=$(version n1 justalock-agent)
for to in next this; do
    [ $to = next ] && text=upgrade || text=downgrade
    ask n1
    ask n2
    ok "$text of all, under held locks" packages $to
    touch "$T/history/stop"
    is "$text: the version" "$(version n1 justalock-agent) $(version head justalock-server)" \
        "$([ $to = this ] && echo "$base $base" || echo "$base+next $base+next")"
    for n in n1 n2; do
        ok "$text: the agent on $n is the new one" running_new $n justalock-agent
        is "$text: who asked on $n meanwhile was served" "$(grep -v 'asked\|: waiting' "$T/ask-$n")" ""
    done
    ok "$text: the server is the new one" running_new head justalock-server
    ok "$text: holders hold" running 2
    ok "$text: who waits waits" wait_for 20 waits 2
    is "$text: held by the same tokens" "$(server_says "$held")" "$before"
done
on n2 scancel "$first"
on n2 pkill -u bob
ok "they end, and who waited works" wait_for 40 started 4
ok "and ends" wait_for 20 running 0

# ---- removal --------------------------------------------------------------------
ok "removal of the PAM module is refused while sshd needs it" \
    [ "$(on n2 dpkg -r libpam-justalock 2>&1 | grep -c 'etc/pam.d/sshd')" = 1 ]
ok "removal of the plugin is refused while Slurm needs it" \
    [ "$(on n2 dpkg -r slurm-spank-justalock 2>&1 | grep -c 'plugstack.conf.d/justalock.conf')" = 1 ]
login alice@n2 head "$W -d 0"
ok "a login on n2 works" wait_for 30 started 5
ON_TIMEOUT=100 on n1 justalock run work /history/work /history/sock 500 2>/dev/null &
ok "a command on n1 waits" wait_for 30 waits 1
on n2 rm /etc/slurm/plugstack.conf.d/justalock.conf
on n2 sed -i /pam_justalock/d /etc/pam.d/sshd
on n2 systemctl restart slurmd
# shellcheck disable=SC2086
ok "nothing needs them: all is removed, under a held lock" quiet on n2 dpkg -r $node
note_leases
ok "the login is dead before its lease ends, then the command works" wait_for 40 started 6
ok "and ends" wait_for 20 running 0
ok "Slurm goes on without" wait_for 20 cluster_is_idle
# shellcheck disable=SC2086
ok "purge" quiet on n2 dpkg -P $node
# shellcheck disable=SC2086
ok "purge of the server's" quiet on head dpkg -P $head
left() { on "$1" find / /run -xdev -iname '*justalock*' | grep -v ^/history | sort | xargs; }
is "what is left on n2" "$(left n2)" /etc/justalock
is "is what the admin put there" "$(on n2 ls /etc/justalock | xargs)" "ca.pem token"
is "and so it is on the head" "$(left head)" \
    "/etc/justalock-server /etc/systemd/system/justalock-server.service.d"
judge "nothing lost, nothing granted twice" 6
tap_done
