#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The other compiler: clang takes every source file without a warning, too.

. tests/lib/tap.sh
B=$(cd "${B:-build}" && pwd)
W=$(mktemp -d "${TMPDIR:-/tmp}/justalock-clang.XXXXXX") || exit 1
trap 'rm -rf "$W"' EXIT
trap 'exit 143' INT TERM
unset MAKEFLAGS MFLAGS MAKELEVEL
command -v clang >/dev/null || {
    skip "clang" "there is none here"
    tap_done
    exit 0
}
# The objects of all that is built, asked for as text only.
make -s -k -j2 B="$W" CC='clang -fsyntax-only' WERROR=1 syntax >"$W/out" 2>&1
rc=$?
sed 's/^/# /' "$W/out" | grep -v '^#   CC ' | head -n 40
n=$(grep -c '^  CC ' "$W/out")
tap_result $rc "clang warns of nothing in $n files"
ok "those are most of the sources" [ "$n" -gt 200 ]
tap_done
