#!/bin/sh
# SPDX-License-Identifier: MIT
#
# libjustalock as installed programs see it, on a real server: the example
# programs, the API test (api.c), what the library exports, its header in C++.
# With ONLY_API=1 just the API test (for make check-tsan).

set -u
. tests/lib/tap.sh
B=${B:-build}
E=$B/tests/examples
dir=$(mktemp -d "${TMPDIR:-/tmp}/justalock-lock.XXXXXX") || exit 1
server=
clean_up() {
    [ -z "$server" ] || { kill -CONT "$server"; kill "$server"; wait "$server"; }
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 143' TERM INT

url=unix:$dir/sock
"$B/bin/justalock-server" --listen "$url" --state "$dir/state" \
    >"$dir/server.log" 2>&1 &
server=$!
if ! wait_for 10 test -S "$dir/sock"; then
    sed 's/^/# /' "$dir/server.log"
    ok "the server starts" false
    tap_done
    exit 1
fi

"$E/api" "$url" "$server" >"$dir/api.tap" 2>"$dir/api.err"
ok "api.c ends well" test $? -eq 0
# Its own results, renumbered behind ours.
sed -n 's/^ok [0-9]* - /0 /p; s/^not ok [0-9]* - /1 /p' "$dir/api.tap" \
    >"$dir/results"
while read -r result text; do
    tap_result "$result" "api: $text"
done <"$dir/results"
grep '^#' "$dir/api.tap"
sed 's/^/# /' "$dir/api.err" | head -n 60
ok "api.c has its tests" test "$(wc -l <"$dir/results")" -ge 30
if [ "${ONLY_API:-}" = 1 ]; then
    tap_done
    exit
fi

"$E/monitor" "$url" 10 >"$dir/out" 2>&1
is "monitor: status" $? 0
is "monitor: ten steps" "$(grep -c '^Working' "$dir/out")" 10
is "monitor: done" "$(tail -n 1 "$dir/out")" "Work completed successfully!"

"$E/monitor" "$url" 2000 >"$dir/out" 2>&1 &
pid=$!
wait_for 10 grep -q 'step 1/' "$dir/out"
kill -STOP "$server"
wait "$pid"
is "monitor: status when the lock is lost" $? 2
kill -CONT "$server"
is "monitor: says so" "$(tail -n 1 "$dir/out")" "Lock was lost, stopping work!"
ok "monitor: stops early" test "$(grep -c '^Working' "$dir/out")" -lt 5

: >"$dir/out1"
"$E/periodic" "$url" 1 1500 >"$dir/out1" 2>&1 &
pid=$!
wait_for 10 grep -q Starting "$dir/out1"
"$E/periodic" "$url" 1 10 >"$dir/out2" 2>&1
is "periodic: the second stays away" "$(cat "$dir/out2")" \
    "Another instance is performing cleanup"
wait "$pid"
is "periodic: the first cleans up" "$(cat "$dir/out1")" \
    "Starting periodic cleanup...
Cleanup completed!"
"$E/periodic" "$url" 2 10 >"$dir/out2" 2>&1
is "periodic: every round afterwards" "$(grep -c completed "$dir/out2")" 2

# What the library shows is what the header says, and nothing else.
nm -D --defined-only "$B/lib/libjustalock.so.1" |
    awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$dir/has"
awk '/JUSTALOCK_API/ { api = 1 } api { print } /;/ { api = 0 }' \
    common/justalock.h | grep -o 'justalock_[a-z0-9_]*(' | tr -d '(' |
    sort -u >"$dir/says"
is "exports: those of the header" "$(cat "$dir/has")" "$(cat "$dir/says")"
ok "exports: there are many" test "$(wc -l <"$dir/has")" -ge 30

if command -v c++ >/dev/null; then
    printf '#include "justalock.h"\nint main() { return !justalock_version(); }\n' \
        >"$dir/x.cc"
    ok "header: C++" c++ -std=c++11 -Wall -Wextra -pedantic -Werror -Icommon \
        -fsyntax-only "$dir/x.cc"
else
    skip "header: C++" "no c++ here"
fi
printf '#include "justalock.h"\nint main(void) { return !justalock_version(); }\n' \
    >"$dir/x.c"
ok "header: C99" "${CC:-cc}" -std=c99 -Wall -Wextra -pedantic -Werror -Icommon \
    -fsyntax-only "$dir/x.c"
tap_done
