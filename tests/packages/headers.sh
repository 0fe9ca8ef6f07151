#!/bin/sh
# SPDX-License-Identifier: MIT
#
#   tests/packages/headers.sh CLONE
# Slurm's plugin, built with the headers of the first and the last tag of each
# release from 20.11 on that CLONE, a clone of Slurm's repository, has. Not part
# of `make check`, since Slurm's headers are not ours to keep here. 20.11 does not
# ask which release a plugin was built for.

set -u
. tests/lib/tap.sh
[ $# -eq 1 ] && git -C "$1" rev-parse --git-dir >/dev/null || {
    echo "usage: make check-headers SLURM_GIT=CLONE (a clone of Slurm's repository)" >&2
    exit 64
}
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-headers.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 143' INT TERM

# The release's number is put in where Slurm's own configure does it.
headers() { # CLONE TAG NUMBER
    rm -rf "$T/slurm"
    mkdir -p "$T/slurm/include" "$T/slurm/lib"
    git -C "$1" archive "$2" slurm | tar -x -C "$T/slurm/include" || return
    for f in "$T"/slurm/include/slurm/*.h.in; do
        sed "s/^#undef *SLURM_VERSION_NUMBER/#define SLURM_VERSION_NUMBER $3/" "$f" >"${f%.in}"
    done
    [ -e "$T/slurm/include/slurm/slurm.h" ]
}
carries() { # the number in the plugin
    so=$T/build/lib/spank_justalock.so
    at=0x$(nm -D "$so" | sed -n 's/ . plugin_version$//p')
    objdump -s -j .rodata --start-address="$at" --stop-address=$((at + 4)) "$so" |
        sed -n 's/^ [0-9a-f]* \(..\)\(..\)\(..\)00 .*/0x\3\2\1/p'
}
git -C "$1" tag -l | sed -nE '/^slurm-(20-11|2[1-9]-[0-9]+|[3-9][0-9]-[0-9]+)-[0-9]+-[0-9]+$/p' | sort -V |
    awk -F- '{ r = $2 "-" $3 } r != was { if (last) print last; print; was = r } { last = $0 }
        END { print last }' | uniq >"$T/tags"
while IFS=- read -r _ year month minor _rest; do
    tag=slurm-$year-$month-$minor-$_rest
    number=$(printf '0x%02x%02x%02x' "$year" "${month#0}" "$minor")
    rm -rf "$T/build"
    ok "$tag: has headers" headers "$1" "$tag" "$number"
    make -s B="$T/build" SLURM_PREFIX="$T/slurm" WERROR=1 spank >"$T/log" 2>&1
    is "$tag: the plugin builds" "$?, $(grep -v '^  [A-Z]' "$T/log")" "0, "
    [ "$year-$month" = 20-11 ] || is "$tag: and is for that release" "$(carries)" "$number"
done <"$T/tags"
ok "there were tags, of $(awk -F- '{ print $2 "." $3 }' "$T/tags" | sort -u | xargs)" \
    test -s "$T/tags"
tap_done
