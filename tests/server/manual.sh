#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The exchange that justalock-protocol(7) shows, sent as it stands there to a
# server: it answers as the page says.

set -u
. tests/lib/tap.sh
B=${B:-build}
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-manual.XXXXXX") || exit 1
trap 'kill $server 2>/dev/null; rm -rf "$T"' EXIT
trap 'exit 143' INT TERM
"$B/bin/justalock-server" --listen "unix:$T/sock" --state "$T/state" 2>"$T/log" &
server=$!
ok "the server starts" wait_for 10 test -S "$T/sock"

request() { # METHOD PATH BODY [HEADER...]: status and headers
    m=$1 path=$2 body=$3
    shift 3
    for h in "$@"; do
        set -- "$@" -H "$h"
        shift
    done
    curl -s -o /dev/null -D - --unix-socket "$T/sock" -X "$m" -d "$body" "$@" \
        "http://localhost$path" | tr -d '\r'
}
view() { curl -s --unix-socket "$T/sock" "http://localhost/v1/locks/$1"; }
waits() { view "$1" | grep -q '"waiters":1'; }

# Blocks of "> METHOD PATH [body: ...]", "> Header: x", "< STATUS", "< Header: x".
awk '/^Take, wait, confirm/ { on = 1 } on && /^\.Ed/ { exit } on && /^[<>]/' \
    common/justalock-protocol.7 >"$T/lines"
id=$(sed -nE '1s/^> POST \/([^?]*)\?.*/\1/p' "$T/lines")
like "the page has an exchange" "$id" '^[A-Za-z0-9_-]{22}$'

like "another holds the lock" "$(request POST "/$id?s=30" other \
    'Justalock-Share: o' 'Justalock-Label: job 812 alice@n1')" '^Justalock-Holding: new'
expect() { # one line of an answer, numbers and times as such
    want=$(printf '%s' "$1" | sed -E 's/Token: [0-9]+/Token: [0-9]+/
        s/Since: .*/Since: [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/
        s/^([0-9]{3})$/HTTP\/1.1 \1 .*/')
    like "$step: $1" "$answer" "^$want\$"
}
send() {
    [ -n "$method" ] || return 0
    step="$method $headers"
    case $headers in
    *Justalock-Wait*) # it is their turn when the other one lets go
        (wait_for 10 waits "$id" && request DELETE "/$id?s=30" other \
            'Justalock-Share: o' >/dev/null) &
        ;;
    esac
    # The page says "the same body and share" once, and then leaves them out.
    if [ -n "$headers" ] && [ -z "$share" ]; then
        share=$headers
        headers=
    fi
    if [ -n "$headers" ]; then
        answer=$(request "$method" "$path" "$client" "$share" "$headers")
    else
        answer=$(request "$method" "$path" "$client" "$share")
    fi
    method=
}
method='' path='' headers='' share='' client='' answer='' step=''
while IFS= read -r line; do
    case $line in
    '> POST '* | '> DELETE '*)
        line=${line#> }
        method=${line%% *} headers=
        path=$(printf '%s' "$line" | cut -d ' ' -f 2)
        case $line in *body:*) client=${line##*body: } ;; esac
        ;;
    '> '*) headers=${line#> } ;;
    '< '*)
        send
        expect "${line#< }"
        ;;
    esac
done <"$T/lines"
like "then it is free" "$(view "$id")" '"held":false,"waiters":0'
tap_done
