#!/bin/sh
# SPDX-License-Identifier: MIT
#
# All of it built with AddressSanitizer and UndefinedBehaviorSanitizer, the
# library with ThreadSanitizer, and tests run on these builds. A report of any
# process, daemons too, fails the test that it came from.
#
# The modules that Slurm and PAM load are tested by their unit tests here, and
# plain beside the others of a sanitized build: slurmstepd and sshd do not load a
# sanitizer's library.
# SANITIZE="PROGRAM...": other tests than these.

. tests/lib/tap.sh
B=$(cd "${B:-build}" && pwd)
A=$B/asan
N=$B/tsan
R=$(mktemp -d "${TMPDIR:-/tmp}/justalock-sanitizers.XXXXXX") || exit 1
chmod 1777 "$R"
trap 'rm -rf "$R"' EXIT
trap 'exit 143' INT TERM
unset MAKEFLAGS MFLAGS MAKELEVEL
[ -z "$(printf 'int main(void){return 0;}' | ${CC:-cc} -fsanitize=address,undefined -x c - \
    -o "$R/try" 2>&1)" ] || {
    skip "sanitizers" "${CC:-cc} has none here"
    tap_done
    exit 0
}

reports() { find "$R" -name 'report.*' -size +0; }
quiet() { # NAME COMMAND...: passes, and nothing was reported
    quiet_name=$1
    shift
    timeout -k 20 300 "$@" >"$R/out" 2>&1 </dev/null
    quiet_rc=$?
    quiet_bad=$(grep '^not ok' "$R/out" | grep -vc '# SKIP')
    if [ $quiet_rc = 0 ] && [ "$quiet_bad" = 0 ] && [ -z "$(reports)" ]; then
        tap_result 0 "$quiet_name"
        return
    fi
    tap_result 1 "$quiet_name: status $quiet_rc, $quiet_bad failed"
    { grep -A 3 '^not ok' "$R/out" | head -n 20
    reports | xargs -r cat | head -n 60; } | sed 's/^/# /'
    rm -f "$R"/report.*
}

# Beside ASan gcc's UBSan takes its options only when it is linked in.
flags=-fno-sanitize-recover=undefined
[ -n "$(printf 'int main(void){return 0;}' | ${CC:-cc} -fsanitize=address,undefined \
    -static-libubsan -x c - -o "$R/try" 2>&1)" ] || flags="$flags -static-libubsan"
ok "built with ASan and UBSan" make -s -j2 B="$A" SAN=address,undefined \
    FAULT="$flags" all unit programs
export ASAN_OPTIONS="log_path=$R/report.asan:detect_leaks=1"
export UBSAN_OPTIONS="log_path=$R/report.ubsan:print_stacktrace=1"
# A daemon that ends by a report may be started again: the report is what tells.
cat >"$R/plant.c" <<'END'
#include <stdlib.h>
int main(int argc, char **argv)
{
    volatile int n = 0x7fffffff;
    char *volatile p = malloc(1);
    (void)argv;
    if (argc > 1)
        n = n + argc;
    else
        p[argc] = 1;
    return 0;
}
END
# shellcheck disable=SC2086
${CC:-cc} -g -fsanitize=address,undefined $flags -o "$R/plant" "$R/plant.c"
for plant in "" overflow; do
    # shellcheck disable=SC2086
    "$R/plant" $plant 2>/dev/null
    ok "a planted fault ${plant:+of UBSan }leaves a report" [ -n "$(reports)" ]
    rm -f "$R"/report.*
done
export CMOCKA_MESSAGE_OUTPUT=TAP
export MODULES="$B/lib"
for t in ${SANITIZE:-"$A"/tests/unit/test_* \
    tests/agent/jobs.sh tests/agent/rubbish.sh tests/cli/agent.sh tests/cli/run.sh \
    tests/server/requests.sh tests/slurm/locks.sh tests/pam/programs.sh}; do
    [ -x "$t" ] || continue
    B=$A quiet "ASan, UBSan: $(basename "$(dirname "$t")")/$(basename "$t")" "$t"
done
unset ASAN_OPTIONS UBSAN_OPTIONS

ok "the library built with TSan" make -s -j2 B="$N" SAN=thread \
    "$N/tests/unit/test_lock" "$N/tests/unit/test_keeper" \
    "$N/tests/examples/api" "$N/bin/justalock-server"
export TSAN_OPTIONS="log_path=$R/report.tsan:exitcode=66"
B=$N NO_FORK=1 ONLY_API=1 quiet "TSan: test_lock" "$N/tests/unit/test_lock"
B=$N NO_FORK=1 ONLY_API=1 quiet "TSan: examples" tests/examples/lock.sh
tap_done
