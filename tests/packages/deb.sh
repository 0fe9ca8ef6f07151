#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Debian packages that `make deb` has left in $B/deb, by Debian's own
# tools: lintian, built again and compared, piuparts, autopkgtest. Needs root
# and the network, for the packages that ours depend on.

set -u
. tests/lib/tap.sh
B=${B:-build}
if [ -z "${JUSTALOCK_PRIVATE:-}" ]; then
    JUSTALOCK_PRIVATE=$(mktemp -d "${TMPDIR:-/tmp}/justalock-deb.XXXXXX") || exit 1
    export JUSTALOCK_PRIVATE
    unshare --mount --pid --fork --kill-child=KILL --mount-proc "$0" "$@" &
    private=$!
    trap 'kill -KILL $private' INT TERM HUP
    wait $private
    rc=$?
    wait $private # it may still be leaving
    rm -rf "$JUSTALOCK_PRIVATE"
    exit $rc
fi
T=$JUSTALOCK_PRIVATE
B=$(cd "$B" && pwd)
D=$B/deb
run() { # NAME COMMAND...: what it says is shown when it fails
    run_log=$T/$1.log
    shift
    "$@" </dev/null >"$run_log" 2>&1 && return
    run_rc=$?
    tail -n 60 "$run_log" | sed 's/^/# /'
    return $run_rc
}

ok "there are packages: make deb" test -e "$D"/justalock_*.changes
is "lintian, pedantic, finds nothing" \
    "$(lintian --allow-root -EvIL +pedantic "$D"/*.changes 2>&1 |
        grep -v '^N: \|^running with root')" ""

# Another folder, another time, another user's habits.
again() (
    umask 077
    export LC_ALL=C TZ=Pacific/Chatham DEB_BUILD_OPTIONS='nocheck parallel=1'
    packaging/build-deb "$T/again"
)
ok "built again elsewhere" run again again
(cd "$D" && sha256sum ./*.deb ./*.dsc ./*.tar.*) >"$T/sums"
ok "there were $(wc -l <"$T/sums") files to compare" [ "$(wc -l <"$T/sums")" -ge 14 ]
is "the same, byte for byte" \
    "$(cd "$T/again" && sha256sum --quiet -c "$T/sums" 2>&1)" ""
rm -rf "$T/again"
# As others build them: from the source package, with the tests that are run then.
from_source() (
    unset B MAKEFLAGS MAKELEVEL MFLAGS
    mkdir "$T/source" && cd "$T/source" && dpkg-source -x "$D"/justalock_*.dsc tree &&
        cd tree && DEB_BUILD_OPTIONS="parallel=$(nproc)" dpkg-buildpackage -us -uc -b
)
ok "built from the source package" run source from_source
is "the packages are the same" "$(cd "$T/source" && grep '\.deb$' "$T/sums" | sha256sum --quiet -c - 2>&1)" ""
like "its tests have passed: $(grep ' passed, ' "$T/source.log")" \
    "$(cat "$T/source.log")" '^[1-9][0-9]+ passed, 0 failed, 0 skipped$'
rm -rf "$T/source"

# A tree for both; a chroot's /proc and terminals are ours. With systemd in it,
# which itself leaves folders behind when it is purged.
run tree debootstrap --variant=minbase --include=systemd bookworm "$T/tree" || exit 1
debs=$(find "$D" -name '*.deb' ! -name '*-dbgsym_*' | sort)
# shellcheck disable=SC2086
ok "piuparts: installed, removed, purged, nothing left" \
    run piuparts piuparts -e "$T/tree" --no-upgrade-test --no-eatmydata \
    --skip-logrotatefiles-test -d bookworm $debs
mount -t proc proc "$T/tree/proc"
mkdir -p "$T/tree/dev/pts"
mount --bind /dev/pts "$T/tree/dev/pts"
cp /etc/resolv.conf "$T/tree/etc/resolv.conf"
# shellcheck disable=SC2086
ok "autopkgtest" run autopkgtest autopkgtest -U $debs "$D"/*.dsc -- chroot "$T/tree"
sed -n 's/^\(ok - .*\)/# \1/p; s/^[a-z]* *\(PASS\|FAIL\|SKIP\).*/# &/p' "$T/autopkgtest.log"
umount "$T/tree/proc" "$T/tree/dev/pts"
tap_done
