#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The SELinux policy compiles with the reference policy's interfaces, says
# what it is meant to say, and its paths are those of `make install` and the
# units. Whether it is enough, or too much, only a machine that enforces knows.

set -u
. tests/lib/tap.sh
devel=/usr/share/selinux/devel
policy=packaging/selinux
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-selinux.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 143' INT TERM

if [ ! -e $devel/Makefile ] || ! command -v checkmodule >/dev/null ||
    ! command -v semodule_package >/dev/null; then
    skip "the policy compiles" "selinux-policy-dev, checkpolicy or semodule-utils is missing"
    tap_done
    exit
fi
cp $policy/justalock.te $policy/justalock.if $policy/justalock.fc "$T"
make -C "$T" -f $devel/Makefile justalock.pp >"$T/log" 2>&1
rc=$?
[ "$rc" -eq 0 ] || sed 's/^/# /' "$T/log"
is "the policy compiles" "$rc" 0
is "without a warning" "$(grep -iE 'warning|error' "$T/log")" ""
ok "it is a package" test -s "$T/justalock.pp"
# An interface that a policy lacks stays in the text as a call.
is "no interface is missing" \
    "$(grep -E '^[[:space:]]*[a-z_]+\([a-z_, $0-9]*\)' "$T/tmp/justalock.tmp")" ""
for t in agent keeper server; do
    ok "there is justalock_${t}_t" grep -q "type justalock_${t}_t[;,]" "$T/tmp/justalock.tmp"
done
# The keeper connects to ports of these types only, and listens on none.
is "the keeper's ports" \
    "$(tr '\n' ' ' <"$T/tmp/justalock.tmp" | grep -oE 'allow justalock_keeper_t [a-z_]+_port_t:tcp_socket \{? *name_(connect|bind)' |
        sed 's/.*keeper_t //; s/{ *//; s/ .*name/ name/' | sort -u | xargs)" \
    "dns_port_t:tcp_socket name_connect http_port_t:tcp_socket name_connect justalock_port_t:tcp_socket name_connect"

# The programs that the file contexts name are those that are installed.
path_of() { # NAME: the pattern for justalock_NAME_exec_t
    sed -n "s/^\([^ 	]*\).*:justalock_$1_exec_t,.*/\1/p" $policy/justalock.fc
}
for p in agent=/usr/sbin/justalock-agent server=/usr/sbin/justalock-server \
    keeper=/usr/libexec/justalock/justalock-keeper; do
    like "the ${p%%=*}'s program has its type" "${p#*=}" "^$(path_of "${p%%=*}")\$"
done
for d in etc=/etc/justalock/justalock.json server_var_lib=/var/lib/justalock/db run=/run/justalock/agent.sock; do
    like "$d: its files have their type" "${d#*=}" \
        "^$(sed -n "s/^\([^ 	]*\).*:justalock_${d%%=*}_t,.*/\1/p" $policy/justalock.fc)\$"
done
tap_done
