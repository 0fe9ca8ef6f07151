#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What can be wrong in packaging/debian and shows without building a package:
# the version, the symbols, the configuration, who may be removed.

set -u
. tests/lib/tap.sh
if [ -z "${JUSTALOCK_PRIVATE:-}" ]; then
    if [ "$(id -u)" != 0 ] || ! unshare --mount true 2>/dev/null; then
        skip "$0" "needs root and a mount namespace"
        tap_done
        exit
    fi
    T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-debian.XXXXXX") || exit 1
    trap 'rm -rf "$T"' EXIT
    trap 'exit 143' INT TERM
    JUSTALOCK_PRIVATE=$T unshare --mount "$0" "$@"
    exit
fi
T=$JUSTALOCK_PRIVATE
B=${B:-build}
D=packaging/debian

is "its version is that of justalock.h" \
    "$(sed -n '1s/^justalock (\(.*\)) .*/\1/p' $D/changelog)" \
    "$(sed -n 's/^#define JUSTALOCK_VERSION "\(.*\)"/\1/p' common/justalock.h)"
is "its symbols are those of the library" \
    "$(sed -n 's/^ \([^ ]*\)@.*/\1/p' $D/libjustalock1.symbols | sort)" \
    "$(nm -D --defined-only "$B/lib/libjustalock.so.1" | sed -n 's/.* [AT] \([^@]*\).*/\1/p' | sort)"

conf=$T/justalock.json
check() { "$B/bin/justalock" config check --config "$conf" 2>&1; }
cp packaging/justalock.json "$conf"
like "the configuration holds as it is" "$(check)" '^ok: configuration: .* 0 locks'
sed 's|^\( *\)// "|\1"|; s|"cluster": ""|"cluster": "c5c1a7e0-3b1f-4f0e-8a53-0f4f6f0e9d21"|' \
    packaging/justalock.json >"$conf"
like "and with all that it suggests" "$(check)" '^ok: configuration: .* 2 locks'

# ---- who is still named is not removed --------------------------------------------
mount -t tmpfs tmpfs /etc/pam.d || exit 1
mount -t tmpfs tmpfs /etc/slurm || exit 1
prerm() { # PACKAGE ACTION: what it says, and its status
    sh "$D/$1.prerm" "$2" 2>&1
    echo "status $?"
}
pam=libpam-justalock
spank=slurm-spank-justalock
is "named nowhere: PAM's module goes" "$(prerm $pam remove)" "status 0"
printf '# session required pam_justalock.so lock=x\nauth required pam_unix.so # pam_justalock.so\n' \
    >/etc/pam.d/sshd
is "named in comments: it goes" "$(prerm $pam remove)" "status 0"
printf 'session\trequired\tpam_justalock.so lock=x\n' >/etc/pam.d/su
printf -- '-session [success=ok default=bad] /usr/lib/x/security/pam_justalock.so lock=x\n' \
    >/etc/pam.d/sudo
like "named: it stays" "$(prerm $pam remove)" '^status 1'
is "and the files are told" "$(prerm $pam remove | grep '^    /')" "    /etc/pam.d/su
    /etc/pam.d/sudo"
is "an upgrade is not hindered" "$(prerm $pam upgrade)" "status 0"

echo 'include /etc/slurm/plugstack.conf.d/*.conf' >/etc/slurm/plugstack.conf
mkdir /etc/slurm/plugstack.conf.d "$T/site.d"
echo '#required spank_justalock.so' >/etc/slurm/plugstack.conf.d/lock.conf
is "named in a comment: Slurm's plugin goes" "$(prerm $spank remove)" "status 0"
echo 'required spank_justalock.so' >/etc/slurm/plugstack.conf.d/lock.conf
is "named in plugstack.conf.d: it stays" "$(prerm $spank remove | grep '^    /\|^status')" \
    "    /etc/slurm/plugstack.conf.d/lock.conf
status 1"
rm /etc/slurm/plugstack.conf.d/lock.conf
printf 'ClusterName=x\nplugstackconfig = %s # ours\n' "$T/site" >/etc/slurm/slurm.conf
echo 'optional /usr/lib/slurm/spank_justalock.so' >"$T/site.d/a.conf"
is "named where slurm.conf says: it stays" "$(prerm $spank remove | grep '^    /\|^status')" \
    "    $T/site.d/a.conf
status 1"
is "an upgrade is not hindered" "$(prerm $spank upgrade)" "status 0"
tap_done
