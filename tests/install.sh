#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `make install` into a folder: what lands where, that it runs from there, that
# a program builds with the installed library, and that uninstall takes all.

set -u
. tests/lib/tap.sh
B=${B:-build}
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-install.XXXXXX") || exit 1
chmod 755 "$T" # the keeper of root is another user
trap 'rm -rf "$T"' EXIT
trap 'exit 143' INT TERM
lib=lib/here
into() { # TARGET [VARIABLE=...]
    make -s B="$B" DESTDIR="$T" prefix=/usr libdir=/usr/$lib \
        slurmdir=/usr/$lib/slurm-wlm "$@" >"$T.log" 2>&1
    rc=$?
    [ "$rc" -eq 0 ] || sed 's/^/# /' "$T.log"
    rm -f "$T.log"
    return $rc
}
ok "make install" into install
for f in bin/justalock sbin/justalock-agent sbin/justalock-server \
    libexec/justalock/justalock-keeper \
    $lib/slurm-wlm/spank_justalock.so $lib/security/pam_justalock.so; do
    ok "$f is there and may be run" test -x "$T/usr/$f"
done
for f in include/justalock.h $lib/libjustalock.so.1 $lib/libjustalock.a $lib/pkgconfig/justalock.pc \
    share/justalock/justalock.json share/justalock/justalock.schema.json \
    share/man/man1/justalock.1 share/man/man3/justalock.3 \
    share/man/man5/justalock.json.5 share/man/man7/justalock-protocol.7 \
    share/man/man8/justalock-agent.8 share/man/man8/justalock-server.8 \
    share/man/man8/spank_justalock.8 share/man/man8/pam_justalock.8 \
    lib/systemd/system/justalock-agent.service lib/systemd/system/justalock-agent.socket \
    lib/systemd/system/justalock-server.service lib/systemd/system/justalock-server.socket \
    lib/sysusers.d/justalock.conf \
    share/bash-completion/completions/justalock share/bash-completion/completions/justalock-agent \
    share/zsh/vendor-completions/_justalock share/fish/vendor_completions.d/justalock-server.fish \
    share/justalock/pam.d/root-shell share/justalock/pam.d/one-login-node; do
    ok "$f is there" test -s "$T/usr/$f"
done
is "the units start what is installed" \
    "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$T"/usr/lib/systemd/system/*.service | xargs)" \
    "/usr/sbin/justalock-agent /usr/sbin/justalock-server"
is "nothing outside usr" "$(ls "$T")" usr
is "the build folder is in no path" \
    "$(grep -rlF "$T" "$T/usr" | head -n 3)" ""

"$T/usr/sbin/justalock-server" --listen "unix:$T/sock" --state "$T/state" \
    2>"$T/log" &
server=$!
trap 'kill $server; rm -rf "$T"' EXIT
ok "the installed server starts" wait_for 10 test -S "$T/sock"

is "the installed command finds its keeper" \
    "$("$T/usr/bin/justalock" run --no-agent --url "unix:$T/sock" x echo in)" in
cat >"$T/prog.c" <<'END'
#include <justalock.h>
#include <stdio.h>
int main(void)
{
    puts(justalock_version());
    return 0;
}
END
flags=$(PKG_CONFIG_SYSROOT_DIR="$T" PKG_CONFIG_PATH="$T/usr/$lib/pkgconfig" \
    pkg-config --cflags --libs justalock)
# shellcheck disable=SC2086
ok "a program builds with pkg-config justalock" \
    ${CC:-gcc} ${SANFLAGS:-} -o "$T/prog" "$T/prog.c" $flags
is "and runs" "$(LD_LIBRARY_PATH="$T/usr/$lib" "$T/prog")" \
    "$(sed -n 's/^#define JUSTALOCK_VERSION "\(.*\)"/\1/p' common/justalock.h)"

files() { (cd "$T/usr" && find . ! -type d -exec ls -ld --time-style=+ {} + | sort -k 6); }
before=$(files)
ok "make uninstall" into uninstall
is "nothing is left" "$(find "$T/usr" ! -type d)" ""
ok "a packager's own INSTALL" into install INSTALL="install -p"
is "does the same" "$(files)" "$before"
tap_done
