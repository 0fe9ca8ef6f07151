#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A service behind TLS, as the public one is: whom we believe, what we refuse
# and how it is said, our own certificate; without an agent, and through one,
# whose keeper reads the files as another user in a jail of its own.
#
# The public service is played by socat, with our server behind it; what our
# server does itself over TLS is in tests/server/tls.sh.

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/certs.sh
needs socat openssl curl jq
agent_private "$0" "$@"
J=$B/bin/justalock
mkdir -m 755 "$T/tls"
cd "$T/tls" || exit 1

# ---- certificates: two authorities, names right and wrong, one of yesterday ---
authority ours
authority theirs
certificate right ours DNS:localhost,IP:127.0.0.1 2
certificate foreign theirs DNS:localhost,IP:127.0.0.1 2
certificate misnamed ours DNS:elsewhere.example 2
certificate ended ours DNS:localhost,IP:127.0.0.1 0 # ends as it begins
certificate node ours DNS:node 2
certificate stranger theirs DNS:node 2
chmod 644 ./*.key # the keeper's user reads them

# ---- the service, on a port for each of them --------------------------------------
service_start
front() { # PORT CERTIFICATE [OPTION]
    socat "OPENSSL-LISTEN:$1,bind=127.0.0.1,reuseaddr,fork,cert=$2.pem,key=$2.key,${3:-verify=0}" \
        "UNIX-CONNECT:$T/srv.sock" 2>>"$T/socat.log" &
    wait_for 10 listens "$1" || cat "$T/socat.log"
}
listens() { ss -Hltn "sport = :$1" | grep -q .; }
front 4001 right
front 4002 foreign
front 4003 misnamed
front 4004 ended
front 4005 right verify=1,cafile=ours.pem
front 4006 right verify=0,openssl-max-proto-version=TLS1.1,ciphers=ALL@SECLEVEL=0
conf() { # FILE URL [MORE]: of the service
    printf '{ "service": { "url": "%s"%s }, "secret_file": "%s", "defaults": { "lifetime": 10 } }\n' \
        "$2" "${3:+, $3}" "$T/secret" >"$1"
}
ca='"ca_file": "'$T'/tls/ours.pem"'
mine='"cert_file": "'$T'/tls/node.pem", "key_file": "'$T'/tls/node.key"'
others='"cert_file": "'$T'/tls/stranger.pem", "key_file": "'$T'/tls/stranger.key"'
run() { "$J" run --config c.json -w 3 x echo ran >out 2>err; }

# ---- without an agent ----------------------------------------------------------------
conf c.json https://localhost:4001/ "$ca"
run
is "by name" "$? $(cat out)" "0 ran"
conf c.json https://127.0.0.1:4001/ "$ca"
run
is "by address" "$? $(cat out)" "0 ran"
# Four lifetimes of 2 s and more: refreshed over TLS.
"$J" run --config c.json -t 2 long sh -c 'i=0; while [ $i -lt 40 ]; do sleep 0.2; i=$((i + 1)); done; echo long' >out 2>err
is "held for 8 s with a lifetime of 2" "$? $(cat out)" "0 long"
"$J" run --config c.json taken sh -c ": >'$T/in'; while [ ! -e '$T/go' ]; do sleep 0.05; done" &
holder=$!
wait_for 10 test -e "$T/in"
is "status over TLS" "$("$J" status --config c.json --json taken | jq -r .state)" held
"$J" run --config c.json -n taken echo ran >out 2>err
is "busy over TLS" "$? $(cat out)" "75 "
touch "$T/go"
wait $holder

refused() { # TEXT PATTERN: nothing runs, 69, and why
    run
    refused_rc=$?
    is "$1: refused, nothing runs" "$refused_rc $(cat out)" "69 "
    like "$1: said" "$(cat err)" "$2"
}
conf c.json https://localhost:4001/
refused "an authority that the system does not know" 'certificate'
conf c.json https://localhost:4002/ "$ca"
refused "another authority" 'certificate'
conf c.json https://localhost:4003/ "$ca"
refused "another name" 'certificate|alternative name|host ?name'
sleep 1 # the one of no days is over
conf c.json https://localhost:4004/ "$ca"
refused "a certificate that has ended" 'certificate.*expired'
conf c.json https://localhost:4006/ "$ca"
refused "TLS 1.1" 'TLS|SSL|protocol'
conf c.json https://localhost:4001/ '"ca_file": "'$T'/tls/missing.pem"'
refused "no file of authorities" 'missing.pem'
conf c.json http://localhost:4001/
refused "http to where TLS is spoken" '.'
certs=$(printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 openssl s_client -quiet \
    -connect localhost:4001 -CAfile ours.pem 2>/dev/null | head -n 1)
like "(the front does lead to the server)" "$certs" '^HTTP/1'

like "(the front of TLS 1.1 is one)" "$(timeout 5 openssl s_client -connect localhost:4006 \
    -CAfile ours.pem -tls1_1 -cipher ALL@SECLEVEL=0 </dev/null 2>&1)" 'Protocol *: TLSv1.1'
# ---- our own certificate ---------------------------------------------------------------
conf c.json https://localhost:4005/ "$ca, $mine"
run
is "with our certificate" "$? $(cat out)" "0 ran"
conf c.json https://localhost:4005/ "$ca"
# TLS 1.3: the alert may come late, and all that is seen is a closed connection.
refused "without it" 'certificate|alert|SSL|TLS|getpeername'
conf c.json https://localhost:4005/ "$ca, $others"
refused "with another's" 'certificate|alert|SSL|TLS|getpeername'

# ---- through the agent -------------------------------------------------------------------
conf "$T/conf.json" https://localhost:4005/ "$ca, $mine"
agent_start
through() { JUSTALOCK_CONFIG=$T/conf.json "$J" run --socket /run/agent.sock "$@" >out 2>err; }
through x echo ran
is "agent: by its keeper, in its jail" "$? $(cat out)" "0 ran"
through -t 2 long sh -c 'i=0; while [ $i -lt 25 ]; do sleep 0.2; i=$((i + 1)); done; echo long'
is "agent: held for 5 s with a lifetime of 2" "$? $(cat out)" "0 long"
agent_stop
conf "$T/conf.json" https://localhost:4003/ "$ca"
agent_start
through -w 2 x echo ran
is "agent, another name: nothing runs" "$? $(cat out)" "69 "
like "agent, another name: said" "$(cat err)" 'certificate|alternative name|host ?name'
agent_stop
chmod 600 node.key # root's alone
conf "$T/conf.json" https://localhost:4005/ "$ca, $mine"
agent_start
through -w 2 x echo ran
is "agent, a key that its keeper cannot read: nothing runs" "$? $(cat out)" "69 "
like "agent, a key that its keeper cannot read: named" "$(cat err)" 'node.key'
agent_stop

# ---- the public service, in letters of one's own: it learns who holds only if told ----
certificate public ours DNS:x.justalock.dev 2
front 4007 public
{ cat /etc/hosts && echo 127.0.0.1 x.justalock.dev; } >hosts
mount --bind hosts /etc/hosts
label='curl -s --unix-socket "$0" http://h/v1/locks | jq -c ".locks[0].holder"'
label_of() { # OPTION...: of a holding, as the server shows it
    # shellcheck disable=SC2016
    "$J" run -w 3 "$@" x sh -c "$label" "$T/srv.sock" 2>err || cat err
}
agent_at() { # URL
    conf "$T/conf.json" "$1" "$ca"
    agent_start
}
conf "$T/conf.json" https://localhost:4001/ "$ca"
like "(a service of one's own: who it is)" "$(label_of --config "$T/conf.json")" '^"root@'
conf "$T/conf.json" https://X.JustALock.dev:4007/ "$ca"
is "the public one: no label" "$(label_of --config "$T/conf.json")" '""'
is "the public one: the label that is given" \
    "$(label_of --config "$T/conf.json" --label me)" '"me"'
agent_at https://localhost:4001/
like "(agent: a service of one's own: who it is)" "$(label_of --socket /run/agent.sock)" '^"root@'
agent_stop
agent_at https://X.JustALock.dev:4007/
is "agent: the public one: no label" "$(label_of --socket /run/agent.sock)" '""'
is "agent: the public one: the label that is given" \
    "$(label_of --socket /run/agent.sock --label me)" '"me"'
agent_stop
tap_done
