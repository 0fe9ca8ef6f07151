#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every fuzz target for a few seconds, from its seeds, under ASan and UBSan, by
# whatever compiler there is: clang, which `make check-fuzz` wants, is as large
# as all else that the tests need. FUZZ_SECONDS, FUZZ_SEED: for each of them.

. tests/lib/tap.sh
B=$(cd "${B:-build}" && pwd)
A=$B/plain # of its own: tests run side by side
W=$(mktemp -d "${TMPDIR:-/tmp}/justalock-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$W"' EXIT
trap 'exit 143' INT TERM
unset MAKEFLAGS MFLAGS MAKELEVEL
[ -z "$(printf 'int main(void){return 0;}' | ${CC:-cc} -fsanitize=address,undefined \
    -x c - -o "$W/try" 2>&1)" ] || {
    skip "fuzzing" "${CC:-cc} has no sanitizers here"
    tap_done
    exit 0
}
built() {
    make -s -j2 B="$A" SAN=address,undefined PLAIN=1 \
        FAULT=-fno-sanitize-recover=undefined fuzz-programs >"$W/out" 2>&1 ||
        { sed 's/^/# /' "$W/out" && false; }
}
seed=${FUZZ_SEED:-$(date +%j)} # another one each day
ok "built with ASan and UBSan" built
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    seeds=$(find "tests/fuzz/corpus/${name#fuzz_}" -type f | LC_ALL=C sort)
    [ -x "$A/$name" ] || {
        skip "$name" "what it needs is missing here"
        continue
    }
    # shellcheck disable=SC2086
    "$A/$name" "${FUZZ_SECONDS:-2}" "$seed" "$W/input" $seeds >"$W/out" 2>&1
    rc=$?
    tap_result "$rc" "$name, seed $seed: $(tail -n 1 "$W/out" | cut -c 1-60)"
    [ "$rc" = 0 ] || {
        sed 's/^/# /' "$W/out" | head -n 60
        echo "# the input, its length in the first 8 bytes:"
        head -c 2000 "$W/input" | base64 | sed 's/^/#   /'
    }
done
tap_done
