#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The server beyond loopback: TLS, who is let in by token or certificate and
# what they may do, a reload of both, and locks of real clients over it.

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/certs.sh
needs openssl curl
agent_private "$0" "$@"
J=$B/bin/justalock
S=$B/bin/justalock-server
ip addr add 192.0.2.1/32 dev lo
umask 022 # what others may write is not read
mkdir -m 755 "$T/tls"
cd "$T/tls" || exit 1
authority ours
authority theirs
certificate right ours DNS:localhost,IP:192.0.2.1 2
certificate next ours DNS:localhost,IP:192.0.2.1 2
certificate node ours DNS:node 2 extendedKeyUsage=clientAuth
certificate unlisted ours DNS:node 2
certificate foreign theirs DNS:node 2
named_node() { # NAME AUTHORITY EXTENSION: its common name is "node", too
    echo "$3" >"$1.ext"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=node \
        -keyout "$1.key" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial \
        -days 2 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
named_node forged theirs extendedKeyUsage=clientAuth
named_node web ours extendedKeyUsage=serverAuth

sha() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
lock=AAAAAAAAAAAAAAAAAAAAAQ other=AAAAAAAAAAAAAAAAAAAAAw
clients() { # FILE [MORE]
    cat >"$1" <<END
{ "clients": {
    // Two tokens: the old one while hosts get the new one.
    "all": { "token_sha256": [ "$(sha all-old)", "$(sha all-new)" ],
             "rights": [ "take", "break" ] },
    "one": { "token_sha256": "$(sha one)",
             "locks": [ "id:$lock", "mine" ] },
    "monitor": { "token_sha256": "$(sha monitor)", "rights": "look" },
    "by-certificate": { "certificate": "node" }${2:+,} ${2:-}
} }
END
}
clients access.json
clients later.json "\"late\": { \"token_sha256\": \"$(sha late)\" }"

# ---- what is refused at start ------------------------------------------------------
fails() { # TEXT PATTERN OPTION...
    fails_text=$1 fails_like=$2
    shift 2
    timeout 10 "$S" --state "$T/refused" "$@" >out 2>&1 </dev/null
    like "$fails_text" "$? $(xargs -d '\n' <out)" "$fails_like"
}
all='--tls-cert right.pem --tls-key right.key --access'
fails "beyond loopback, no TLS" '^78 .*192.0.2.1:7171: not a loopback.*--tls-cert' --listen 192.0.2.1:7171
fails "tls:, no TLS" '^78 .*TLS and a list' --listen tls:127.0.0.1:7171
# shellcheck disable=SC2086
{
    fails "no key" '^64 .*--tls-key is missing' --listen unix:"$T/r" --tls-cert right.pem --access access.json
    fails "no list" '^64 .*--access is missing' --listen unix:"$T/r" --tls-cert right.pem --tls-key right.key
    fails "only a list" '^64 .*--tls-cert is missing' --listen unix:"$T/r" --access access.json
    fails "only an authority" '^64 .*missing' --listen unix:"$T/r" --client-ca ours.pem
    fails "a list that is not there" '^78 .*--access none.json: No such file' --listen unix:"$T/r" $all none.json
    cp right.key open.key && chmod 644 open.key
    fails "a key that all may read" '^78 .*--tls-key open.key: mode 0644.*at most 0640' \
        --listen unix:"$T/r" --tls-cert right.pem --tls-key open.key --access access.json
    fails "another's key" '^78 .*next.key: is not the key of the certificate in right.pem' \
        --listen unix:"$T/r" --tls-cert right.pem --tls-key next.key --access access.json
    fails "no certificate" '^78 .*--tls-cert access.json: ' \
        --listen unix:"$T/r" --tls-cert access.json --tls-key right.key --access access.json
    fails "no authority" '^78 .*--client-ca access.json: ' --listen unix:"$T/r" $all access.json --client-ca access.json
    cp access.json open.json && chmod 666 open.json
    fails "a list that all may write" '^78 .*open.json: mode 0666' --listen unix:"$T/r" $all open.json
    echo '{ "clients": { "x": { "token_sha256": "ABC" } } }' >wrong.json
    fails "a token that is none" '^78 .*wrong.json:1:39: clients.x.token_sha256: must be 64 hex digits' \
        --listen unix:"$T/r" $all wrong.json
}

# ---- the server -----------------------------------------------------------------------
cp right.pem cert.pem && cp right.key cert.key && cp access.json list.json && cp ours.pem ca.pem
"$S" --listen 192.0.2.1:7171 --listen tls:127.0.0.1:7172 --listen 127.0.0.1:7173 \
    --listen "unix:$T/sock" --state "$T/state" --tls-cert cert.pem --tls-key cert.key \
    --access list.json --client-ca ca.pem >"$T/srv.log" 2>&1 &
server=$!
ask() { # PATH [CURL OPTION...]: the status
    ask_path=$1
    shift
    curl -s -m 10 -o body -w '%{http_code}' --cacert ours.pem "$@" "https://192.0.2.1:7171$ask_path"
}
as() { echo "Authorization: Bearer $1"; }
take() { # TOKEN LOCK CLIENT
    ask "/$2?s=60" -H "$(as "$1")" -d "$3"
}
is_up() { [ "$(ask /healthz)" = 200 ]; }
ok "it serves beyond loopback" wait_for 10 is_up
like "and says where" "$(cat "$T/srv.log")" 'listening on tls:192.0.2.1:7171'
like "TLS on loopback, asked for" "$(curl -s -m 10 --cacert ours.pem https://localhost:7172/healthz)" '^ok'
like "plain on loopback, as ever" "$(curl -s -m 10 -d c1 "http://127.0.0.1:7173/$other?s=1" -D -)" '^HTTP/1.1 200'
is "plain where TLS is spoken: nothing" "$(curl -s -m 10 -o /dev/null -w '%{http_code}' http://192.0.2.1:7171/healthz)" 000
tls11=$(timeout 5 openssl s_client -connect 192.0.2.1:7171 -tls1_1 -cipher ALL@SECLEVEL=0 </dev/null 2>&1)
like "TLS 1.1: refused" "$tls11" 'alert|no protocols|New, \(NONE\)'
tls12=$(timeout 5 openssl s_client -connect 192.0.2.1:7171 -tls1_2 </dev/null 2>&1)
like "TLS 1.2: spoken" "$tls12" 'New, TLSv1.2'
# Silent ones are looked at when the rest is done.
sleep 300 | timeout 300 openssl s_client -connect 192.0.2.1:7171 >"$T/silent" 2>&1 &
silent=$!
sleep 300 | timeout 300 socat - TCP:192.0.2.1:7171 >"$T/mute" 2>&1 &
mute=$!

# ---- who -------------------------------------------------------------------------------
is "nobody" "$(ask "/$lock?s=60" -d c1)" 401
like "and it is said" "$(cat body)" 'bearer token or a certificate'
like "in the header, too" "$(curl -s -D - -o /dev/null --cacert ours.pem -d c1 "https://192.0.2.1:7171/$lock")" \
    '^WWW-Authenticate: Bearer'
for t in "" wrong one2 "one " "$(sha one)"; do
    is "token \"$t\": unknown" "$(ask "/$lock?s=60" -H "$(as "$t")" -d c1)" 401
done
is "another scheme" "$(ask "/$lock?s=60" -H "Authorization: Basic $(printf one | base64)" -d c1)" 401
is "two tokens in one request" "$(ask "/$lock?s=60" -H "$(as one)" -H "$(as all-new)" -d c1)" 400
is "none of them took it" "$(take all-new $lock c0)" 200
is "released again" "$(ask "/$lock?s=60" -H "$(as all-new)" -X DELETE -d c0)" 200

# ---- what ------------------------------------------------------------------------------
is "one: its lock" "$(take one $lock c1)" 200
is "one: refreshes it" "$(take one $lock c1)" 200
is "all, old token: held by another" "$(take all-old $lock c2)" 409
is "one: looks at it" "$(ask "/v1/locks/$lock" -H "$(as one)")" 200
is "one: its lock by name" "$(take one "$("$J" id mine)" c1)" 200
is "one: gives that back" "$(ask "/$("$J" id mine)" -H "$(as one)" -X DELETE -d c1)" 200
is "one: another lock" "$(take one $other c1)" 403
like "and it is said" "$(cat body)" 'no right to do that'
is "one: looks at another" "$(ask "/v1/locks/$other" -H "$(as one)")" 403
is "one: all locks" "$(ask /v1/locks -H "$(as one)")" 403
is "one: breaks its own" "$(ask "/v1/locks/$lock/break" -H "$(as one)" -d c)" 403
is "one: gives back another's" "$(ask "/$other" -H "$(as one)" -X DELETE -d c1)" 403
for p in / /v1/locks /metrics "/v1/locks/$lock"; do
    is "monitor: $p" "$(ask "$p" -H "$(as monitor)")" 200
    is "nobody: $p" "$(ask "$p")" 401
done
is "monitor: takes nothing" "$(take monitor $other c1)" 403
is "monitor: gives nothing back" "$(ask "/$lock" -H "$(as monitor)" -X DELETE -d c1)" 403
is "all: breaks one's" "$(ask "/v1/locks/$lock/break" -H "$(as all-new)" -d c)" 200
is "one: its refresh is refused then" "$(take one $lock c1)" 409
is "one: gives it back" "$(ask "/$lock" -H "$(as one)" -X DELETE -d c1)" 200
is "nobody: health" "$(ask /healthz)" 200
like "refusals are counted" "$(ask /metrics -H "$(as monitor)" >/dev/null; cat body)" \
    'justalock_requests_total.*code="401"} [1-9]'

# ---- certificates --------------------------------------------------------------------------
with() { # NAME: takes the lock with that certificate
    ask "/$lock?s=60" --cert "$1.pem" --key "$1.key" -d cert
}
is "certificate of the list" "$(with node)" 200
is "one that is not in it" "$(with unlisted)" 401
is "a listed name in one for servers only" "$(with web)" 401
is "another authority's" "$(with foreign)" 401
is "another authority's with a listed name" "$(with forged)" 401
is "a token stands before a certificate" \
    "$(ask "/$lock?s=60" --cert node.pem --key node.key -H "$(as wrong)" -d cert)" 401
is "many requests of one connection" "$(curl -s -m 10 -o /dev/null -w '%{http_code} ' --cacert ours.pem \
    --cert node.pem --key node.key -d cert "https://192.0.2.1:7171/{$lock,$lock,$lock}?s=60")" "200 200 200 "
is "its lock is given back" "$(ask "/$lock" --cert node.pem --key node.key -X DELETE -d cert)" 200

# ---- real clients ---------------------------------------------------------------------------
printf 'one\n' >one.token && chmod 600 one.token
printf 'wrong\n' >wrong.token && chmod 600 wrong.token
conf() { # FILE TOKENFILE [URL]
    printf '{ "service": { "url": "%s", "ca_file": "%s", "token_file": "%s" }, "secret_file": "%s", "defaults": { "lifetime": 5 } }\n' \
        "${3:-https://192.0.2.1:7171/}" "$T/tls/ours.pem" "$T/tls/$2" "$T/secret" >"$1"
}
conf c.json one.token
"$J" run --config c.json mine sh -c ": >'$T/in'; while [ ! -e '$T/go' ]; do sleep 0.05; done" &
holder=$!
ok "run: holds a lock over TLS with a token" wait_for 10 test -e "$T/in"
"$J" run --config c.json mine echo second >second 2>err &
second=$!
queued() { "$J" status --config c.json --json mine | grep -q '"waiters": *1'; }
ok "run: another waits in the queue" wait_for 10 queued
touch "$T/go"
wait $holder $second
is "run: and gets it" "$(cat second)" second
"$J" run --config c.json -w 3 another echo ran >out 2>err
is "run: a lock that is not its own" "$? $(cat out)" "77 " || sed 's/^/# /' err
like "run: said" "$(cat err)" '403|right|not allowed|refus'
conf w.json wrong.token
"$J" run --config w.json -w 3 mine echo ran >out 2>err
is "run: a token that is unknown" "$? $(cat out)" "77 "
like "run: said" "$(cat err)" '401|token'

# Who waits and is gone has no place any more.
"$J" run --config c.json mine sh -c ": >'$T/in2'; while [ ! -e '$T/go2' ]; do sleep 0.05; done" &
holder=$!
wait_for 10 test -e "$T/in2"
curl -s -m 25 --cacert ours.pem -H "$(as one)" -H 'Justalock-Wait: 25' -d w \
    "https://192.0.2.1:7171/$("$J" id mine)?s=5" >/dev/null &
waiter=$!
ok "a request waits over TLS" wait_for 10 queued
kill -KILL $waiter
nobody_waits() { "$J" status --config c.json --json mine | grep -q '"waiters": *0'; }
ok "it is killed: its place is gone" wait_for 15 nobody_waits
touch "$T/go2"
wait $holder

# ---- reload -----------------------------------------------------------------------------------
serial() {
    openssl s_client -connect 192.0.2.1:7171 </dev/null 2>/dev/null | openssl x509 -noout -serial
}
old=$(serial)
is "late: unknown as yet" "$(take late $lock c9)" 401
cp next.pem cert.pem && cp next.key cert.key && cp later.json list.json
kill -HUP $server
reloaded() { [ "$(take late $lock c9)" = 200 ]; }
ok "reload: a client that is new" wait_for 10 reloaded
ok "reload: the certificate is the next" [ "$(serial)" != "$old" ]
is "reload: what was there is there" "$(take one "$("$J" id mine)" c1)" 200
next=$(serial)
echo '{ "clients": { "x": { } } }' >list.json
cp right.pem cert.pem
kill -HUP $server
says() { grep -q "$1" "$T/srv.log"; }
ok "reload, wrong: said" wait_for 10 says 'not reloaded: list.json:1:21: clients.x: has neither token'
is "reload, wrong: the old list stays" "$(take late $lock c9)" 200
cp later.json list.json
kill -HUP $server
ok "reload, key of another: said" wait_for 10 says 'not reloaded: --tls-key cert.key: is not the key'
is "reload, key of another: the old certificate stays" "$(serial)" "$next"
cp next.pem cert.pem
clients list.json
kill -HUP $server
gone() { [ "$(take late $lock c9)" = 401 ]; }
ok "reload: a client that is taken out" wait_for 10 gone

# Authorities: a connection that stays shows that they decide for it, too.
known() { ask "/v1/locks/$other" --cert "$1.pem" --key "$1.key"; }
is "authorities: another's is unknown" "$(with forged)" 401
names=$(openssl s_client -connect 192.0.2.1:7171 </dev/null 2>&1)
like "no names of authorities, which a reload would leave old" "$names" 'No client certificate CA names sent'
mkfifo stay
openssl s_client -quiet -connect 192.0.2.1:7171 -cert node.pem -key node.key <stay >stay.out 2>/dev/null &
stay=$!
exec 7>stay
stay_take() { printf 'POST /%s?s=60 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nstay' "$other" >&7; }
stay_said() { [ "$(grep -c "^HTTP/1.1 $1" stay.out)" = "$2" ]; }
stay_take
ok "a connection with our certificate takes a lock" wait_for 10 stay_said 200 1
was=$(grep -c 'reloaded: certificate' "$T/srv.log")
{ cat theirs.pem && head -n 3 ours.pem; } >ca.pem
kill -HUP $server
ok "authorities, cut: said" wait_for 10 says 'not reloaded: --client-ca ca.pem: '
is "authorities, cut: the old ones stay" "$(known node) $(known forged)" "200 401"
chmod 666 ca.pem && cp ours.pem ca.pem
kill -HUP $server
ok "authorities that all may write: said" wait_for 10 says 'not reloaded: --client-ca ca.pem: mode 0666'
rm ca.pem
kill -HUP $server
ok "authorities that are gone: said" wait_for 10 says 'not reloaded: --client-ca ca.pem: No such file'
is "authorities that are gone: the old ones stay" "$(known node) $(known forged)" "200 401"
cat theirs.pem ours.pem >ca.pem
again() { [ "$(grep -c 'reloaded: certificate' "$T/srv.log")" -gt "$was" ]; }
kill -HUP $server
ok "authorities, two: said" wait_for 10 again
is "authorities, two: both" "$(known node) $(known forged)" "200 200"
stay_take
ok "authorities, two: the connection goes on" wait_for 10 stay_said 200 2
was=$(grep -c 'reloaded: certificate' "$T/srv.log")
cp theirs.pem ca.pem
kill -HUP $server
ok "authorities, another: said" wait_for 10 again
is "authorities, another: ours is unknown" "$(known node) $(known forged)" "401 200"
stay_take
ok "authorities, another: on a connection from before, too" wait_for 10 stay_said 401 1
exec 7>&-
kill $stay

# ---- silent ones -------------------------------------------------------------------------------
ended() { ! kill -0 "$1" 2>/dev/null; }
ok "a TLS connection that says nothing is closed" wait_for 40 ended $silent
ok "one that does not even begin TLS, too" wait_for 40 ended $mute
ok "the server is well" kill -0 $server
kill $server
wait $server
is "and ends well" $? 0
tap_done
