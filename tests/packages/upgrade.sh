#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Debian packages in $B/deb on a machine that boots: installed, they run;
# an upgrade from those of an older commit, and the way back, lose no lock and
# turn nobody away; removed and purged, they leave what policy allows. The
# higher version is this test's; where there is no history, it is all that
# differs.

# shellcheck disable=SC2016
. tests/lib/tap.sh
. tests/lib/node.sh
. tests/lib/older.sh
older_packages
node_private "$0" "$@"

version=$(sed -n 's/^#define JUSTALOCK_VERSION "\(.*\)"/\1/p' common/justalock.h)
ours="justalock justalock-agent justalock-server libpam-justalock libjustalock1"
node_make n1 || exit 1
R=$T/n1/root
mkdir "$R/debs" "$R/next"
for p in $ours; do
    cp "${OLDER:-$B/deb}/${p}_"*.deb "$R/debs/$p.deb" || exit 1
    dpkg-deb -R "$B/deb/${p}_${version}"_*.deb "$T/next" || exit 1
    sed -i "s/^Version: .*/&+1/; s/(= $version)/(= $version+1)/" "$T/next/DEBIAN/control"
    dpkg-deb -b "$T/next" "$R/next/$p.deb" >/dev/null
    rm -rf "$T/next"
done
ok "it boots" node_boot n1
leader=$(node_leader n1)
n1() { timeout 120 nsenter -t "$leader" -a -r -w -- "$@"; }
dpkg_n1() { # ARGUMENTS for dpkg, a shell's
    n1 sh -c "DEBIAN_FRONTEND=noninteractive dpkg $*" >"$T/dpkg.log" 2>&1 && return
    rc=$?
    [ -n "${quiet:-}" ] || sed 's/^/# /' "$T/dpkg.log"
    return $rc
}
prop() { n1 systemctl show -P "$1" "$2"; }
active() {
    n1 systemctl is-active justalock-agent.service justalock-agent.socket \
        justalock-server.service justalock-server.socket | sort | uniq -c | xargs
}

# ---- installed ------------------------------------------------------------------------
ok "dpkg -i" dpkg_n1 -i '/next/*.deb'
is "units and sockets run" "$(active)" "4 active"
is "and are enabled" "$(n1 systemctl is-enabled justalock-agent.service justalock-agent.socket \
    justalock-server.service justalock-server.socket | sort | uniq -c | xargs)" "4 enabled"
is "no failed unit" "$(n1 systemctl --failed --no-legend)" ""
is "a secret is there, root's alone" "$(n1 stat -c '%U:%G %a %s' /etc/justalock/secret)" \
    "root:root 400 64"
like "the configuration holds as it is" "$(n1 justalock config check)" '^ok: configuration'
is "nothing around it is wrong" "$(n1 justalock config check | grep -c '^error')" 0
is "nothing names the modules" "$(n1 grep -rl 'justalock' /etc/pam.d)" ""
secret=$(n1 sha256sum /etc/justalock/secret)
mkdir "$R/etc/justalock/conf.d"
echo '{ "service": { "url": "unix:/run/justalock/server.sock" }, "defaults": { "lifetime": 20 } }' \
    >"$R/etc/justalock/conf.d/site.json"
is "one file more: reload" "$(n1 systemctl reload justalock-agent 2>&1)" ""
is "a command runs" "$(n1 justalock run x echo in)" in

# An older server leaves the state of a later one as it is, and says so.
refuses() {
    n1 journalctl -u justalock-server -o cat --no-pager -n 5 |
        grep -q 'made by another version of this server'
}

# ---- an upgrade under a held lock -----------------------------------------------------
n1 justalock run keep sh -c 'echo in; while [ ! -e /run/go ]; do sleep 0.05; done; echo $JUSTALOCK_TOKEN' \
    >"$T/holder" 2>"$T/holder.err" &
holder=$!
ok "a lock is held" wait_for 10 grep -q in "$T/holder"
# One who wants it all the time, one who wants another: never an error, each
# has to say what it is.
n1 sh -c 'while [ ! -e /run/stop ]; do justalock run -n keep true; echo $?; done' \
    >"$T/rival" 2>/dev/null &
rival=$!
n1 sh -c 'while [ ! -e /run/stop ]; do justalock run other true; echo $?; done' \
    >"$T/other" 2>"$T/other.err" &
other=$!
ok "others come" wait_for 10 test -s "$T/other"
before="$(prop MainPID justalock-agent) $(prop MainPID justalock-server)"
up="$(prop ActiveEnterTimestampMonotonic justalock-agent.socket) $(
    prop ActiveEnterTimestampMonotonic justalock-server.socket)"
for i in downgrade upgrade 'second downgrade' 'second upgrade'; do
    [ "${i%upgrade}" = "$i" ] && from=/debs || from=/next
    ok "$i: dpkg -i" dpkg_n1 -i "$from/*.deb"
    if [ $from = /debs ] && [ "$(active)" != "4 active" ]; then
        ok "$i: the server refuses what a later one has left" wait_for 10 refuses
    else
        is "$i: all run" "$(active)" "4 active"
    fi
    after="$(prop MainPID justalock-agent) $(prop MainPID justalock-server)"
    ok "$i: both were restarted" [ "${before% *}" != "${after% *}" -a "${before#* }" != "${after#* }" ]
    before=$after
    wait_for 10 n1 sh -c 'justalock list | grep -q "^held .*keep"'
    is "$i: the lock is held" $? 0
done
# Each at another moment of a command's life.
for i in 1 2 3 4 5 6 7 8; do
    n1 systemctl restart justalock-agent
done
is "the sockets never went" "$(prop ActiveEnterTimestampMonotonic justalock-agent.socket) $(
    prop ActiveEnterTimestampMonotonic justalock-server.socket)" "$up"
# Longer than the lease.
sleep 21
n1 touch /run/stop
wait $rival $other
is "who wanted the lock was told that it is held, every time" "$(sort -u "$T/rival")" 75
is "who wanted another had it, every time" \
    "$(sort -u "$T/other"; grep -v ': waiting for ' "$T/other.err")" 0
ok "of these there were $(wc -l <"$T/other")" [ "$(wc -l <"$T/other")" -ge 10 ]
n1 touch /run/go
wait $holder
is "the holder ended well" "$? $(cat "$T/holder.err")" "0 "
ok "and had a token" [ "$(tail -n 1 "$T/holder")" -gt 0 ]
is "the secret is the same" "$(n1 sha256sum /etc/justalock/secret)" "$secret"

# ---- removed ----------------------------------------------------------------------------
echo 'session required pam_justalock.so lock=x' >"$R/etc/pam.d/door"
quiet=1
dpkg_n1 -r libpam-justalock
is "named in pam.d: not removed, and told why" \
    "$(($? != 0)) $(grep -c '/etc/pam.d/door' "$T/dpkg.log")" "1 1"
is "and is as it was" "$(n1 dpkg-query -W -f '${db:Status-Status}' libpam-justalock)" installed
quiet=
rm "$R/etc/pam.d/door"
ok "dpkg -r" dpkg_n1 -r $ours
is "no process of ours" "$(n1 ps -eo args= | grep '[/]justalock')" ""
is "nobody listens" "$(n1 ss -Hlx -lt | grep 'justalock\|:7171')" ""
is "no failed unit" "$(n1 systemctl --failed --no-legend)" ""
is "what an admin may want again is kept" \
    "$(cd "$R" && find etc/justalock var/lib/justalock -maxdepth 1 | sort | xargs)" \
    "etc/justalock etc/justalock/conf.d etc/justalock/justalock.json etc/justalock/secret var/lib/justalock var/lib/justalock/$(
        n1 ls /var/lib/justalock | sed 's|^|var/lib/justalock/|' | xargs | sed 's|^var/lib/justalock/||')"
ok "dpkg -i once more" dpkg_n1 -i '/next/*.deb'
is "the secret is the same" "$(n1 sha256sum /etc/justalock/secret)" "$secret"
is "it serves again" "$(n1 justalock run x echo in)" in
rm -r "$R/etc/justalock/conf.d"
ok "dpkg -P" dpkg_n1 -P $ours
is "nothing is left but two users" \
    "$(n1 sh -c "rm -r /debs /next; find / /run -xdev -name '*justalock*' ! -path /opt/justalock"
        n1 getent passwd | grep -c justalock)" 2
node_off n1 2>/dev/null
tap_done
