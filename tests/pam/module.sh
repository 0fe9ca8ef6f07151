#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What pam_justalock.so is made of, before it is loaded into sshd: libpam and
# libc alone, none of their calls that start a thread, a child or a handler,
# nothing exported but PAM's entry points; clean under valgrind; and the
# examples of config/pam.d are taken as they stand.

. tests/lib/tap.sh
B=$(cd "${B:-build}" && pwd)
SO=$B/lib/pam_justalock.so
[ -e "$SO" ] || {
    skip "$0" "built without PAM"
    tap_done
    exit 0
}
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-module.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT

is "needs libc and libpam alone" \
    "$(readelf -d "$SO" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | xargs)" \
    "libc.so.6 libpam.so.0"
# The loader, the kernel's page and what libpam itself needs come with them.
is "ldd: none of what the agent is made of" \
    "$(ldd "$SO" | grep -E 'curl|json|nettle|sqlite|microhttpd|pthread|systemd')" ""
is "exports PAM's entry points, no more" \
    "$(nm -D --defined-only "$SO" | sed 's/.* //' | sort | xargs)" \
    "pam_sm_acct_mgmt pam_sm_authenticate pam_sm_close_session pam_sm_open_session pam_sm_setcred"
taken=$(nm -D --undefined-only "$SO" | awk '{ print $2 }' | sed 's/@.*//')
ok "its own calls are seen" [ "$(echo "$taken" | grep -c '^pam_get_user$')" = 1 ]
is "no thread, child, handler, environment, or call that is not reentrant" "$(echo "$taken" |
    grep -E '^(pthread_|thrd_|_?_?v?fork|clone|exec|posix_spawn|system$|popen|waitpid|kill$|raise|_?_?signal|sigaction|sigprocmask|alarm|setitimer|setenv|putenv|unsetenv|dlopen|chdir|umask|set[re]*[ug]id|getpw|getgr|getspnam|localtime|strtok|strerror$|_?exit$|abort$|atexit)')" ""
# It stays loaded while its cleanup callbacks may run: no constructor of ours.
is "no code at load" "$(nm "$SO" | grep -Ei ' t .*(constructor|_GLOBAL__sub)')" ""
flags=$(readelf -dlW "$SO")
is "bound when loaded" "$(echo "$flags" | grep -c BIND_NOW)" 1
is "no executable stack" "$(echo "$flags" | awk '$1 == "GNU_STACK" { print $7 }')" RW
is "no text relocations" "$(echo "$flags" | grep -c TEXTREL)" 0

# ---- under valgrind ---------------------------------------------------------------
if [ -x "$B/tests/unit/test_pam_module" ] && command -v valgrind >/dev/null; then
    # Forked children end in the middle of things: their logs are not asked.
    CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 120 valgrind --leak-check=full \
        --errors-for-leak-kinds=definite,indirect,possible --track-fds=yes \
        --log-file="$T/log.%p" "$B/tests/unit/test_pam_module" >"$T/out" 2>&1
    is "valgrind: the unit tests pass" \
        "$? $(grep '^not ok' "$T/out" | grep -v '# SKIP')" "0 "
    ok "valgrind: most of them ran" [ "$(grep -c '^ok' "$T/out")" -gt 20 ]
    log=$(for f in "$T"/log.*; do # the one that is no other's child
        [ -e "$T/log.$(sed -n 's/.* Parent PID: //p' "$f")" ] || echo "$f"
    done)
    is "valgrind: no fault, no leak" \
        "$(sed -n 's/.*ERROR SUMMARY: \([0-9]* errors\).*/\1/p' "$log")" "0 errors"
    is "valgrind: no descriptor left" \
        "$(grep -A 1 'Open file descriptor' "$log" | grep -Ev 'Open file|^--|inherited from')" ""
else
    skip "valgrind" "no valgrind here"
fi

# ---- the examples ---------------------------------------------------------------------
(umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$T/secret")
checked() { # no agent runs here, which it says too
    "$B/bin/justalock" config check --config "$1" 2>&1 | grep -q '^ok: configuration: .* 1 lock$'
}
defines() { jq -e --arg n "$2" '.locks[$n].for == "pam"' "$1" >/dev/null; }
for f in root-shell one-login-node sudo-window; do
    example=config/pam.d/$f
    is "$f: one line for pam.d" "$(grep -vc '^#' $example)" 1
    sed -n '/^#   /s/^#   //p' $example | {
        printf '{ "secret_file": "%s",\n' "$T/secret"
        cat
        echo '}'
    } >"$T/$f.json"
    ok "$f: its locks are a right configuration" checked "$T/$f.json"
    ok "$f: and define the lock of its line" defines "$T/$f.json" \
        "$(sed -n 's/.* lock=\([^ ]*\).*/\1/p' $example)"
done
tap_done
