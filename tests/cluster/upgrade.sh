#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The packages under held locks: of two versions side by side, upgraded,
# downgraded, removed, purged. The older version is that of an older commit, or
# of this one where there is no history; the higher number is this test's.

. tests/lib/tap.sh
. tests/lib/node.sh
. tests/lib/certs.sh
. tests/lib/cluster.sh
. tests/lib/older.sh
cluster_needs
older_packages
node_private "$0" "$@"

DEBS=$OLDER
cluster_make || exit 1
mkdir "$T/history/this" "$T/history/next"
ok "packages of a higher version" cluster_next "$T/history/this" "$T/history/next"
ok "three machines boot, with Slurm and locks" cluster_up || cluster_why

head='libjustalock1 justalock justalock-server'
node="libjustalock1 justalock justalock-agent libpam-justalock slurm-spank-justalock"
# shellcheck disable=SC2016
put='cd "$1" && shift && dpkg -i $(for p; do echo "$p"_*.deb; done)'
packages() { # NODE this|next PACKAGE...
    packages_on=$1 packages_of=$2
    shift 2
    quiet on "$packages_on" sh -c "$put" sh "/history/$packages_of" "$@"
}
all_packages() { # this|next
    # shellcheck disable=SC2086
    packages n1 "$1" $node && packages head "$1" $head && packages n2 "$1" $node ||
        return
    [ "$1" = this ] || return 0
    wait_for 30 server_settles
    server_runs && return
    # Then the later one goes on with it.
    # shellcheck disable=SC2086
    server_refuses && refused=+next && packages head next $head &&
        echo '# the older server refuses the state of the later one'
}
refused=
server_settles() { server_runs || server_refuses; }
server_runs() { [ "$(on head systemctl is-active justalock-server)" = active ]; }
# An older server leaves the state of a later one as it is, and says so.
server_refuses() {
    on head journalctl -u justalock-server -o cat --no-pager -n 5 |
        grep -q 'made by another version of this server'
}
quiet() { # COMMAND...: says something only where it fails
    "$@" >"$T/packages.log" 2>&1 </dev/null || {
        sed 's/^/# /' "$T/packages.log"
        return 1
    }
}
version() { on "$1" dpkg-query -W -f '${Version}' "$2"; }
# Who comes meanwhile waits at the socket and is served.
ask() { # NODE
    # shellcheck disable=SC2016
    ON_TIMEOUT=100 on "$1" sh -c 'while [ ! -e /history/stop ]; do
        justalock run -w 20s "ask-$1" true || echo "refused: $?"
        echo asked
    done' sh "$1" >"$T/ask-$1" 2>&1 &
    askers="$askers $!"
}
asked() {
    touch "$T/history/stop"
    # shellcheck disable=SC2086
    wait $askers
    rm "$T/history/stop"
    askers=
}
askers=
running_new() { # NODE UNIT: its processes are of what is installed
    on "$1" sh -c 'p=$(systemctl show -P MainPID "$1")
        [ "$p" != 0 ] && ! readlink "/proc/$p/exe" | grep deleted' sh "$2"
}

# ---- two versions side by side -------------------------------------------------
each_works() { # TEXT: a job, a login and a command on each node, one lock for all
    for n in n1 n2; do
        job $n --lock=work "$W 300" >/dev/null
        login alice@$n head "$W 300"
        on $n justalock run -w 60s work /history/work /history/sock 300 2>/dev/null &
    done
    works=$((works + 6))
    ok "$1: all work" wait_for 60 started $works
    ok "$1: and end" wait_for 20 running 0
}
works=0
mixed() { # NODE with new modules, NODE with a new agent
    packages "$1" this justalock justalock-agent &&
        packages "$1" next libpam-justalock slurm-spank-justalock &&
        packages "$2" next justalock justalock-agent &&
        packages "$2" this libpam-justalock slurm-spank-justalock
}
ok "new modules on n2 at an old agent, on n1 the other way round" mixed n2 n1
is "the versions" "$(for n in n1 n2; do
    for p in justalock-agent libpam-justalock slurm-spank-justalock; do
        version $n $p | sed 's/.*+next/new /; s/^[0-9].*/old /'
    done
done | xargs)" "new old old old new new"
each_works "at an old server"
# shellcheck disable=SC2086
ok "all are old again" all_packages this

# ---- upgrades under held locks -------------------------------------------------
first=$(job n1 --lock=slow "$W 0")
login bob@n2 head "$W 0"
ok "a job on n1 and a login on n2 hold locks" wait_for 30 started $((works + 2))
job n2 --lock=slow "$W 500" >/dev/null
ON_TIMEOUT=170 on n1 justalock run -w 5m long /history/work /history/sock 500 2>/dev/null &
ok "others wait for both" wait_for 30 waits 2
held='[.locks[] | select(.held and .waiters > 0) | .token] | sort | @csv'
before=$(server_says "$held")
base=$(version n1 justalock-agent)
for to in next this next; do
    [ $to = next ] && text=upgrade || text=downgrade
    ask n1
    ask n2
    ok "$text of all, under held locks" all_packages $to
    asked
    is "$text: the version" "$(version n1 justalock-agent) $(version head justalock-server)" \
        "$([ $to = this ] && echo "$base $base$refused" || echo "$base+next $base+next")"
    for n in n1 n2; do
        ok "$text: the agent on $n is the new one" running_new $n justalock-agent
        # Of a server that refuses nobody is served.
        [ $to$refused = this+next ] ||
            is "$text: who asked on $n meanwhile was served" \
                "$(grep -v 'asked\|: waiting' "$T/ask-$n")" ""
    done
    ok "$text: the server is the new one" running_new head justalock-server
    ok "$text: holders hold" running 2
    ok "$text: who waits waits" wait_for 20 waits 2
    is "$text: held by the same tokens" "$(server_says "$held")" "$before"
done
on n2 scancel "$first"
on n2 pkill -u bob
ok "they end, and who waited works" wait_for 40 started $((works + 4))
ok "and ends" wait_for 20 running 0

ok "new modules on n1 at an old agent, on n2 the other way round" mixed n1 n2
works=$((works + 4))
each_works "at a new server"
ok "all are new again" all_packages next

# ---- removal --------------------------------------------------------------------
ok "removal of the PAM module is refused while sshd needs it" \
    [ "$(on n2 dpkg -r libpam-justalock 2>&1 | grep -c 'etc/pam.d/sshd')" = 1 ]
ok "removal of the plugin is refused while Slurm needs it" \
    [ "$(on n2 dpkg -r slurm-spank-justalock 2>&1 | grep -c 'plugstack.conf.d/justalock.conf')" = 1 ]
login alice@n2 head "$W -d 0"
ok "a login on n2 works" wait_for 30 started $((works + 1))
ON_TIMEOUT=100 on n1 justalock run work /history/work /history/sock 500 2>/dev/null &
ok "a command on n1 waits" wait_for 30 waits 1
on n2 rm /etc/slurm/plugstack.conf.d/justalock.conf
on n2 sed -i /pam_justalock/d /etc/pam.d/sshd
on n2 systemctl restart slurmd
# shellcheck disable=SC2086
ok "nothing needs them: all is removed, under a held lock" quiet on n2 dpkg -r $node
note_leases
ok "the login is dead before its lease ends, then the command works" wait_for 40 started $((works + 2))
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
judge "nothing lost, nothing granted twice" $((works + 2))
tap_done
