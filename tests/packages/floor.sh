#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The oldest libraries that the sources are for are those of EL8, and no
# machine here has them. So what the sources name and what the objects import
# is compared with lists of what is there since when (floor/), and each list
# has exactly what is used: what is new must be looked up. A younger name is
# fine below `#if VERSION >= ...`. What it cannot see: a known function that
# means something else in an old release.

set -u
. tests/lib/tap.sh
B=${B:-build}
lists=tests/packages/floor
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-floor.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 143' INT TERM
CC=${CC:-gcc}

# ---- what is used ------------------------------------------------------------

mkdir "$T/src"
objects=
find common modules -name '*.[ch]' >"$T/sources"
while read -r f; do
    mkdir -p "$T/src/${f%/*}"
    # Comments away and nothing else done.
    $CC -fpreprocessed -dD -E "$f" 2>/dev/null | sed '/^# [0-9]/d' >"$T/src/$f"
    o=$B/obj/${f%.c}.o
    case $f in
    *.h) ;;
    modules/slurm/* | modules/pam/*) [ ! -e "$o" ] || objects="$objects $o" ;;
    *) objects="$objects $o" ;;
    esac
done <"$T/sources"
products=$(find "$B/bin" "$B/libexec" "$B/lib" -type f ! -name '*.a')

# shellcheck disable=SC2086
nm -A -u $objects >"$T/undefined" || ok "all is built" false
# shellcheck disable=SC2086
nm --defined-only $objects | awk 'NF == 3 { print $3 }' >"$T/known"
libc=$($CC -print-file-name=libc.so.6)
nm -D --defined-only "$libc" | awk '{ sub(/@.*/, "", $3); print $3 }' >>"$T/known"
nm --defined-only "$($CC -print-file-name=libc_nonshared.a)" 2>/dev/null |
    awk 'NF == 3 { print $3 }' >>"$T/known"
echo _GLOBAL_OFFSET_TABLE_ >>"$T/known"
# "NAME OBJECT" of what is neither ours nor the C library's. nettle's names
# have a prefix that its headers hide; Slurm's are tests/slurm/alone.sh's, and
# PAM's have versions: see below.
awk 'NR == FNR { known[$1] = 1; next }
    $(NF - 1) != "U" || $NF in known || $NF ~ /^(spank|slurm|pam)_/ { next }
    { sub(/:$/, "", $1); sub(/^nettle_/, "", $NF); print $NF, $1 }' \
    "$T/known" "$T/undefined" >"$T/imports"
ok "the objects import from other libraries" test -s "$T/imports"

# ---- the libraries -------------------------------------------------------------

cat $lists/* | awk '{ print $1 }' >"$T/listed"
is "each import is in a list" \
    "$(awk 'NR == FNR { listed[$1] = 1; next }
        !($1 in listed) { print $1 ", used by " $2 ", is not: look since when it is there" }' \
        "$T/listed" "$T/imports")" ""
for list in libcurl json-c libmicrohttpd sqlite3 gnutls nettle libseccomp linux; do
    floor=$(sed -n 's/^floor //p' "$lists/$list")
    got=$(cd "$T/src" && ln -sf "$OLDPWD/$lists/$list" "../$list" &&
        xargs awk -v list="../$list" -v imports=../imports -f "$OLDPWD/tests/packages/floor.awk" \
            "../$list" ../imports <../sources || echo "awk failed")
    is "$list: nothing younger than $floor" "$got" ""
done
# SQL is text to all of this. What came after 3.26:
is "sqlite3: no SQL younger than 3.26" \
    "$(grep -nEi '"[^"]*\b(RETURNING|STRICT|GENERATED ALWAYS|DROP COLUMN|MATERIALIZED|NULLS (FIRST|LAST)|iif\(|unixepoch\(|UPDATE [^"]* FROM|VACUUM INTO)' \
        modules/server/store_sqlite*.c)" ""

# ---- what has versions -----------------------------------------------------------

# "VERSION NAME", as in "GLIBC_2.33 stat", of what the products take.
# shellcheck disable=SC2086
objdump -T $products 2>/dev/null |
    sed -nE 's/.*\*UND\*.*[( ]((GLIBC|LIBPAM[A-Z_]*)_[0-9.]+)\)? +([^ ]+)$/\1 \3/p' |
    sort -u >"$T/versions"
ok "the products take from the C library" grep -q '^GLIBC_' "$T/versions"
younger() { # PREFIX FLOOR: the lines with a younger version
    awk -v prefix="$1" -v floor="$2" '
        function num(v, a) { split(v, a, "."); return (a[1] * 1000 + a[2]) * 1000 + a[3] }
        { v = $1 } sub("^" prefix "_", "", v) && v ~ /^[0-9.]+$/ && num(v) > num(floor)'
}
objdump -T "$libc" | sed -nE 's/.*[( ](GLIBC_[0-9.]+)\)? +([^ ]+)$/\1 \2/p' |
    sort -u >"$T/libc"
younger GLIBC 2.28 <"$T/libc" | sort >"$T/libc-younger"
# What the C library has in an old version, too, and the list.
{
    comm -23 "$T/libc" "$T/libc-younger" | awk '{ print $2 }'
    sed '/^#/d' $lists/glibc
} >"$T/old"
is "glibc: nothing younger than 2.28" \
    "$(younger GLIBC 2.28 <"$T/versions" |
        awk 'NR == FNR { old[$1] = 1; next } !($2 in old)' "$T/old" -)" ""
is "libpam: nothing younger than 1.3.1" "$(younger 'LIBPAM[A-Z_]*' 1.3.1 <"$T/versions")" ""
tap_done
