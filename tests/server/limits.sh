#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What one client may use of the server, and all: each limit at its edge, what
# is answered and said there, and that others are served beside a flood.

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/certs.sh
needs curl jq openssl setpriv
agent_private "$0" "$@"
F=$B/tests/server/flood
S=$B/bin/justalock-server
chmod 755 "$T"

# Clients: tcp is all of loopback; uN is user N on the unix socket.
ask() { # CLIENT PATH [CURL OPTION...]: the status; head and body in $T
    ask_as=$1 ask_path=$2
    shift 2
    case $ask_as in
    tcp) set -- "$@" "http://127.0.0.1:7171$ask_path" ;;
    *) set -- --unix-socket "$T/sock" "$@" "http://x$ask_path" ;;
    esac
    : >"$T/head" && : >"$T/body" && chmod 666 "$T/head" "$T/body"
    case $ask_as in
    u*) set -- setpriv --reuid "${ask_as#u}" --clear-groups curl "$@" ;;
    *) set -- curl "$@" ;;
    esac
    "$@" -s -m "${LIMIT:-10}" -o "$T/body" -D "$T/head" -w '%{http_code}'
}
id() { printf 'AAAAAAAAAAAAAAAAA%04dA' "$1"; }
take() { # CLIENT LOCK SHARE
    ask "$1" "/$(id "$2")?s=60" -H "Justalock-Share: $3" -d "of-$1"
}
give() { # CLIENT LOCK SHARE
    ask "$1" "/$(id "$2")?s=60" -H "Justalock-Share: $3" -X DELETE -d "of-$1"
}
head_of() { tr -d '\r' <"$T/head" | sed -n "s/^$1: //p"; }
metric() { curl -s -m 10 "http://127.0.0.1:7171/metrics" | sed -n "s/^justalock_$1 //p"; }
says() { grep -c "$1" "$T/srv.log"; }
is_up() { [ "$(curl -s -m 5 http://127.0.0.1:7171/healthz)" = ok ]; }
server() { # OPTION...
    "$S" --listen 127.0.0.1:7171 --listen "unix:$T/sock" --state "$T/state" "$@" \
        >>"$T/srv.log" 2>&1 &
    server=$!
    wait_for 10 is_up
}
stop() {
    kill $server
    wait $server
}

# ---- held and released -----------------------------------------------------------
server --limit held=3 --limit held-each=2 --limit released=3 --limit released-each=2
is "two locks of one" "$(take tcp 1 a)$(take tcp 2 a)" 200200
is "a third" "$(take tcp 3 a) $(head_of Retry-After)" "429 1"
like "and what to do" "$(cat "$T/body")" 'as many locks as one may; give one back first'
like "with our features" "$(head_of Justalock-Features)" 'share'
is "another share" "$(take tcp 1 b)" 429
is "refreshed" "$(take tcp 1 a) $(head_of Justalock-Holding)" "200 renewed"
is "another client" "$(take u1000 3 a)" 200
is "of all: a fourth" "$(take u1000 4 a) $(head_of Retry-After)" "503 1"
is "and for who has none" "$(take u1001 4 a)" 503
is "refreshed" "$(take u1000 3 a) $(head_of Justalock-Holding)" "200 renewed"
is "another's lock: refused as ever" "$(take u1001 1 a)" 409
is "released" "$(give tcp 1 a)" 200
is "room again" "$(take tcp 4 c) $(give tcp 4 c)" "200 200"
is "a third to be remembered" "$(give tcp 2 a) $(head_of Retry-After)" "429 1"
like "and what to do" "$(cat "$T/body")" 'released as many .*; ask again later'
is "it is held still" "$(take u1001 2 a)" 409
is "another's is remembered" "$(give u1000 3 a)" 200
is "of all: a fourth" "$(give u1001 9 a)" 503
is "said once: of one" "$(says 'limit: held: 2 are in use, as many as one may: refused: address 127.0.0.0/8, 1 ')" 1
is "said once: of all" "$(says 'limit: held: 3 are in use, as many as may be: refused: user 1000, 1 ')" 1
is "said, all of them" "$(says 'limit: ')" 4
is "counted" "$(metric 'refused_total{limit="held-each"}') $(metric 'refused_total{limit="held"}')" "2 2"
like "answers are counted" "$(metric 'requests_total{method="POST",code="429"}')" '^2$'
stop

# What a restart brings back is nobody's until it is refreshed.
server --limit held=3 --limit held-each=1
is "restart: a second for who had one" "$(take tcp 5 d)" 200
is "restart: refreshed" "$(take tcp 2 a) $(head_of Justalock-Holding)" "200 renewed"
is "restart: now it has two" "$(take tcp 6 d)" 429
stop
rm -rf "$T/state"

# ---- waiters -------------------------------------------------------------------------
server --limit waiters=3 --limit waiters-each=2
is "held" "$(take tcp 1 a)" 200
waits() { # CLIENT SHARE
    LIMIT=60 ask "$1" "/$(id 1)?s=60" -H "Justalock-Share: $2" -H 'Justalock-Wait: 20' -d "w-$2" >"$T/w.$2" 2>&1
}
waiting() { [ "$(metric waiters)" = "$1" ]; }
waits u1000 a &
ok "one waits" wait_for 10 waiting 1
waits u1000 b &
ok "two" wait_for 10 waiting 2
began=$(date +%s)
waits u1000 c
is "a third: at once" "$(cat "$T/w.c") $(head_of Retry-After)" "429 1"
ok "not after its wait" [ $(($(date +%s) - began)) -lt 10 ]
waits u1001 d &
ok "another client's" wait_for 10 waiting 3
waits u1002 e
is "of all: a fourth" "$(cat "$T/w.e")" 503
is "who holds is served" "$(take tcp 1 a)" 200
is "said once: of one" "$(says 'limit: waiters: 2 are in use, as many as one may: refused: user 1000')" 1
is "said once: of all" "$(says 'limit: waiters: 3 are in use, as many as may be: refused: user 1002')" 1
is "given back" "$(give tcp 1 a)" 200
got() { [ "$(cat "$T/w.a")" = 200 ]; }
ok "the first gets it" wait_for 10 got
stop

# ---- connections ------------------------------------------------------------------------
# All of loopback is one address; the unix socket's users are others.
server --limit connections=12 --limit connections-each=10
"$F" 7171 silent 10 60 &
silent=$!
full() { [ "$(curl -s -m 5 -o /dev/null -D "$T/head" -w '%{http_code}' http://127.0.0.1:7171/healthz)" = 429 ]; }
ok "ten of an address: the next one is told so" wait_for 10 full
is "when to come again" "$(head_of Retry-After) $(head_of Connection)" "2 close"
like "and by whom" "$(head_of Justalock-Features)" 'share'
is "another one is served" "$(ask root /healthz)" 200
is "said once" "$(says 'limit: connections: 10 are in use, as many as one may: refused: address 127.0.0.0/8, 1 ')" 1
kill $silent
ok "they are gone: served" wait_for 10 is_up
# In all: who has been silent for longest makes room.
setpriv --reuid 1000 --clear-groups "$F" "$T/sock" once 9 60 &
silent=$!
"$F" 7171 once 3 60 &
silent2=$!
room() { [ "$(ask root /healthz)" = 200 ]; }
there() { [ "$(ls /proc/$server/fd | wc -l)" -ge "$files" ]; }
files=$(($(ls /proc/$server/fd | wc -l) + 12))
wait_for 10 there
for n in 1 2 3 4 5 6; do room || break; done
is "as many as may be, all silent: one goes, each time" "$n$(room && echo ok)" 6ok
# Those that have asked stay.
{
    printf 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    sleep 30
} | timeout 30 socat - "UNIX-CONNECT:$T/sock" >"$T/asked" &
asked=$!
answered() { grep -q '^HTTP/1.1 200' "$T/asked"; }
wait_for 10 answered
kill $silent $silent2
wait $silent $silent2 2>/dev/null
ok "who has asked stays" kill -0 $asked
kill $asked
ok "none of them: served" wait_for 10 is_up
stop

# ---- a flood, and others ---------------------------------------------------------------
# What it costs others is in make bench; here it is enough that they are served.
server --limit connections=1000 --limit held=2000 --limit waiters=600
beside() { # KIND N [LOCKS]
    "$F" 7171 "$1" "$2" 2 ${3:+"$3"} >"$T/flood.$1" 2>&1 &
    flood=$!
    "$F" "$T/sock" probe 60 0 >"$T/probe" 2>&1
    echo "# $1: $(xargs <"$T/probe")"
    is "beside $2 of $1: all are served" "$(sed -n 's/^other //p' "$T/probe")" 0
    wait $flood
    echo "# $(xargs <"$T/flood.$1")"
}
beside silent 700
like "silent: refused above the limit" "$(cat "$T/flood.silent")" '^429 '
beside slow 300
beside heads 64
like "heads: refused" "$(cat "$T/flood.heads")" '^431 [1-9]'
beside wait 490 4
like "wait: refused above the limit" "$(cat "$T/flood.wait")" '^429 '
beside take 32
like "take: 1000 held with the 4 before, then refused" "$(xargs <"$T/flood.take")" '^200 996 429 [1-9]'
beside give 32
is "no other refusal of a request" \
    "$(curl -s http://127.0.0.1:7171/metrics | sed -n 's/.*code="\(5..\)"} .*/\1/p')" ""
ok "the server is well" kill -0 $server
stop
is "and ends well" $? 0

# ---- over TLS a client is who it says, wherever it comes from -----------------------------
cd "$T" || exit 1
authority ours
certificate right ours DNS:localhost,IP:127.0.0.1 2
sha() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
printf '{ "clients": { "a": { "token_sha256": "%s" }, "b": { "token_sha256": "%s" } } }\n' \
    "$(sha a)" "$(sha b)" >access.json
server --listen tls:127.0.0.1:7172 --tls-cert right.pem --tls-key right.key --access access.json \
    --limit held-each=1 --limit connections=12 --limit connections-each=10
over() { # TOKEN LOCK
    curl -s -m 10 -o /dev/null -w '%{http_code}' --cacert ours.pem -H "Authorization: Bearer $1" \
        -d "c$1" "https://localhost:7172/$(id "$2")?s=60"
}
is "TLS: one of each client" "$(over a 1)$(over a 2)$(over b 2)$(over b 3)" 200429200429
is "TLS: said with its name" "$(says 'limit: held: 1 are in use, as many as one may: refused: client a')" 1
# Who is not known stays as silent as who says nothing.
mkfifo never
files=$(($(ls /proc/$server/fd | wc -l) + 10))
for n in 1 2 3 4 5 6 7 8 9 10; do
    timeout 30 openssl s_client -quiet -connect 127.0.0.1:7172 <>never >/dev/null 2>&1 &
done
wait_for 10 there # or ours would be one of the ten
tls_full() { [ "$(over a 1)" = 000 ]; }
ok "TLS: too many connections of an address are closed" wait_for 10 tls_full
is "another one is served" "$(ask root /healthz)" 200
stop

# ---- what is no limit ------------------------------------------------------------------------
wrong() { # TEXT PATTERN LIMIT
    timeout 5 "$S" --listen unix:"$T/w" --state "$T/w.state" --limit "$3" >out 2>&1
    like "$1" "$? $(cat out)" "$2"
}
wrong "zero" '^64 .*--limit held=0: number: 0 is not within 1 and 10000000' held=0
wrong "unknown" '^64 .*--limit memory=1: not NAME=NUMBER' memory=1
wrong "more for each than for all" '^64 .*held-each=1000001: more than the 1000000 of all' held-each=1000001
tap_done
