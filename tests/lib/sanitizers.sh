# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# For tests/sanitizers/*.sh: tests run on builds with sanitizers. A report of any
# process, daemons too, fails the test that it came from.

. tests/lib/tap.sh
B=$(cd "${B:-build}" && pwd)
A=$B/asan
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

# Builds in $A, one at a time of those that want it, and looks whether a fault is
# reported.
with_asan() {
    # Beside ASan gcc's UBSan takes its options only when it is linked in.
    flags=-fno-sanitize-recover=undefined
    [ -n "$(printf 'int main(void){return 0;}' | ${CC:-cc} -fsanitize=address,undefined \
        -static-libubsan -x c - -o "$R/try" 2>&1)" ] || flags="$flags -static-libubsan"
    ok "built with ASan and UBSan" flock "$A.lock" make -s -j2 B="$A" SAN=address,undefined \
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
    export MODULES="$B/lib"
}
under_asan() { # PROGRAM...
    for t; do
        [ -x "$t" ] || continue
        B=$A quiet "ASan, UBSan: $(basename "$(dirname "$t")")/$(basename "$t")" "$t"
    done
}
export CMOCKA_MESSAGE_OUTPUT=TAP
