#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The plugin alone, for a Slurm of the site's own: the installed headers with
# another release's number, and only symbols of SPANK that 20.11 had, too.

set -u
. tests/lib/tap.sh
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-alone.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 143' INT TERM
site() {
    make -s B="$T/build" SLURM_PREFIX="$T/slurm" "$@" >"$T/log" 2>&1
}
mkdir -p "$T/slurm/include" "$T/slurm/lib64/slurm"
site spank
is "without headers: refused" "$?" 2
like "and told why" "$(cat "$T/log")" 'slurm/spank.h is missing: SLURM_PREFIX='

cp -r /usr/include/slurm "$T/slurm/include/"
sed -i 's/\(#define SLURM_VERSION_NUMBER\).*/\1 0x1a0502/' \
    "$T/slurm/include/slurm/slurm_version.h"
ok "make spank" site WERROR=1 spank
ok "make install-spank" site WERROR=1 install-spank
so=$T/slurm/lib64/slurm/spank_justalock.so
ok "lands in lib64/slurm" test -x "$so"
is "nothing else was built" "$(find "$T/build" -name 'libjustalock*' -o -path '*/bin/*')" ""
[ -x "$so" ] || { sed 's/^/# /' "$T/log"; tap_done; exit 1; }
at=0x$(nm -D "$so" | sed -n 's/ . plugin_version$//p')
like "carries the number of that Slurm" \
    "$(objdump -s --start-address="$at" --stop-address="$((at + 4))" "$so")" \
    ' 02051a00 '
is "uses no symbol of Slurm that 20.11 lacks" \
    "$(nm -D -u "$so" | awk '$1 == "U" && $2 !~ /@/ { print $2 }' |
        grep -vxE 'slurm_(error|verbose|spank_log)|spank_(context|get_item|getenv|setenv|unsetenv|strerror|option_getopt|option_register)')" ""
tap_done
