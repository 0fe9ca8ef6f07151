# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# TAP for shell tests: source it, call ok/is/skip, end with tap_done.
#   ok TEXT COMMAND [ARG...]   passes if the command succeeds
#   is TEXT GOT WANT           passes if the two are equal
#   like TEXT GOT PATTERN      passes if GOT matches the extended regexp
#   skip TEXT WHY
#   needs PROGRAM...           ends the test as skipped where one is missing
#   wait_for SECONDS COMMAND.. runs the command until it succeeds (every
#                              50 ms) or the time is up

tap_n=0
tap_bad=0
tap_result() { # 0|1 TEXT
    tap_n=$((tap_n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_n - $2"
    else
        tap_bad=$((tap_bad + 1))
        echo "not ok $tap_n - $2"
    fi
}
ok() {
    tap_text=$1
    shift
    if "$@"; then tap_result 0 "$tap_text"; else tap_result 1 "$tap_text"; fi
}
is() {
    if [ "$2" = "$3" ]; then
        tap_result 0 "$1"
    else
        tap_result 1 "$1"
        printf '#  got: %s\n# want: %s\n' "$2" "$3"
    fi
}
like() {
    if printf '%s\n' "$2" | grep -Eq -- "$3"; then
        tap_result 0 "$1"
    else
        tap_result 1 "$1"
        printf '#  got: %s\n# want: /%s/\n' "$2" "$3"
    fi
}
skip() {
    tap_n=$((tap_n + 1))
    echo "ok $tap_n - $1 # SKIP $2"
}
wait_for() {
    tap_left=$(($1 * 20))
    shift
    while ! "$@"; do
        tap_left=$((tap_left - 1))
        [ "$tap_left" -gt 0 ] || return 1
        sleep 0.05
    done
}
needs() {
    for tap_need; do
        command -v "$tap_need" >/dev/null || {
            skip "$0" "$tap_need is not installed"
            tap_done
            exit 0
        }
    done
}
tap_done() {
    echo "1..$tap_n"
    [ "$tap_bad" -eq 0 ]
}
