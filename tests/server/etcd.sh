#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Several servers over one etcd of three members: one answers, and when it is
# stopped, killed, paused or cut off, another does, with all that was granted.

. tests/lib/tap.sh
. tests/lib/agent.sh
. tests/lib/certs.sh
. tests/lib/etcd.sh
etcd_can || {
    skip "$0" "etcd, etcdctl, curl or jq is not installed"
    tap_done
    exit 0
}
agent_private "$0" "$@"
S=$B/bin/justalock-server
ok "etcd of three members" etcd_start
member_pid() { cat "$T/m$1.pid"; }

# ---- servers ----------------------------------------------------------------------
server() { # N
    "$S" --listen "127.0.0.1:717$1" --state "etcd://$(etcd_ends)" >>"$T/s$1.log" 2>&1 &
    eval "s$1=$!"
}
ask() { # N PATH [CURL OPTION...]: the status; the head in $T/head
    ask_url="http://127.0.0.1:717$1$2"
    shift 2
    curl -s -m "${LIMIT:-5}" -o "$T/body" -D "$T/head" -w '%{http_code}' "$@" "$ask_url"
}
take() { # N LOCK CLIENT [SECONDS]
    ask "$1" "/$2?s=${4:-60}" -H "Justalock-Share: $3" -d "$3"
}
head_of() { tr -d '\r' <"$T/head" | sed -n "s/^$1: //p"; }
leads() { [ "$(ask "$1" /healthz)" = 200 ]; }
one_leads() { # of the servers that run; sets lead
    lead=
    for one in $running; do
        if leads "$one"; then
            [ -z "$lead" ] || return 1
            lead=$one
        fi
    done
    [ -n "$lead" ]
}
lock() { "$B/bin/justalock" id "$1"; }
running="1 2 3"
for n in $running; do server $n; done
ok "one of three servers answers" wait_for 15 one_leads
a=$(lock a) b=$(lock b)
is "it grants" "$(take "$lead" "$a" c1)" 200
service=$(head_of Justalock-Service) epoch=$(head_of Justalock-Epoch) token=$(head_of Justalock-Token)
like "its service, epoch and token" "$service $epoch $token" '^[0-9a-f]{32} [1-9][0-9]* 1$'
other=$((lead % 3 + 1))
is "another one says neither yes nor no" "$(take $other "$a" c1) $(head_of Retry-After) $(head_of Justalock-Epoch)" "503 1 "
is "nor for who would be refused" "$(take $other "$a" c2)" 503
is "it shows its pages" "$(ask $other /metrics)" 200
is "the key is readable" "$(ctl get --print-value-only "/justalock/share/$a/c1" | jq -c '[.client, .life_s, .token, .broken]')" \
    '["6331",60,"1",false]'
like "so is who leads" "$(ctl get --print-value-only /justalock/leader)" '"server":"[^"]+:[0-9]+"'
is "refreshed" "$(take "$lead" "$a" c1) $(head_of Justalock-Holding)" "200 renewed"
is "refused" "$(take "$lead" "$a" c2)" 409
p=$(lock pool)
in_pool() { # CLIENT: "CODE SLOT"
    ask "$lead" "/$p?s=60" -H "Justalock-Share: of.$1" -H 'Justalock-Slots: 2' -d "$1"
    printf ' %s' "$(head_of Justalock-Slot)"
}
is "two in a pool, no third" "$(in_pool p0),$(in_pool p1),$(in_pool p2)" "200 0,200 1,409 "
is "its key is readable" "$(ctl get --print-value-only "/justalock/share/$p/of.p1/1" | jq -c '[.slots, .life_s]')" "[2,60]"

# ---- takeovers ----------------------------------------------------------------------
ms() { echo $(($(date +%s%N) / 1000000)); }
over() { # TEXT SECONDS: another leads, nothing is lost, nothing granted twice
    was=$lead was_epoch=$epoch began=$(ms)
    ok "$1: another answers" wait_for "$2" one_leads
    echo "# $1: $(($(ms) - began)) ms"
    ok "$1: it is another" [ "$lead" != "$was" ]
    is "$1: what was held is refreshed" "$(take "$lead" "$a" c1) $(head_of Justalock-Holding)" "200 renewed"
    epoch=$(head_of Justalock-Epoch)
    ok "$1: the epoch is greater" [ "$epoch" -gt "$was_epoch" ]
    is "$1: the service is the same" "$(head_of Justalock-Service)" "$service"
    is "$1: and refused to others" "$(take "$lead" "$a" c2)" 409
    is "$1: a pool is as it was" "$(in_pool p2),$(in_pool p1),$(in_pool p0)" "409 ,200 1,200 0"
    was_token=$token
    is "$1: a new one" "$(take "$lead" "$(lock "new $1")" c3)" 200
    token=$(head_of Justalock-Token)
    ok "$1: the token is greater" [ "$token" -gt "$was_token" ]
}
without() { running=$(echo "$running" | tr ' ' '\n' | grep -vx "$1" | xargs); }
pid() { eval "echo \$s$1"; }
kill "$(pid "$lead")"
wait "$(pid "$lead")"
is "stopped: it ends well" $? 0
gone=$lead
without "$gone"
over "stopped" 5
server "$gone"
running="$running $gone"
kill -KILL "$(pid "$lead")"
gone=$lead
without "$gone"
over "killed" 15
server "$gone"
running="$running $gone"

# Paused: what it is asked meanwhile waits in its socket, and may not be
# answered as if it still led.
kill -STOP "$(pid "$lead")"
gone=$lead
without "$gone"
take_late() { # LOCK CLIENT
    curl -s -m 60 -o /dev/null -w '%{http_code}\n' -H "Justalock-Share: $2" -d "$2" "http://127.0.0.1:717$gone/$1?s=60"
}
take_late "$a" c1 >"$T/late1" &
late1=$!
take_late "$b" c5 >"$T/late2" &
late2=$!
over "paused" 15
is "paused: the other lock is another's now" "$(take "$lead" "$b" c6)" 200
kill -CONT "$(pid "$gone")"
wait $late1 $late2
is "paused: back, it refreshes nothing" "$(cat "$T/late1")" 503
is "paused: back, it grants nothing" "$(cat "$T/late2")" 503
running="$running $gone"
ok "paused: still one answers" wait_for 10 one_leads

# Its lease in etcd is taken away under it: the next proof fails.
lease=$(ctl get -w json /justalock/leader | jq '.kvs[0].lease')
ctl lease revoke "$(printf %x "$lease")" >/dev/null
ok "lease revoked: one answers" wait_for 10 one_leads
is "lease revoked: what was held is refreshed" "$(take "$lead" "$a" c1) $(head_of Justalock-Holding)" "200 renewed"
epoch=$(head_of Justalock-Epoch)

# Its key alone is taken away: its lease lives on, so that only the proof that
# each answer takes can tell it that another one leads.
was=$lead was_epoch=$epoch
ctl del /justalock/leader >/dev/null
another() { one_leads && [ "$(ask "$lead" /healthz)" = 200 ] && [ "$(head_of Justalock-Epoch)" -gt "$was_epoch" ]; }
ok "key deleted: one answers, in a later turn" wait_for 10 another
[ "$lead" = "$was" ] ||
    is "key deleted: the one before says neither yes nor no" "$(take "$was" "$a" c1)" 503
is "key deleted: what was held is refreshed" "$(take "$lead" "$a" c1) $(head_of Justalock-Holding)" "200 renewed"
epoch=$(head_of Justalock-Epoch)

# ---- etcd in trouble -------------------------------------------------------------------
# Silent, all of it: a server waits for it, but not for each member.
members="$(member_pid 1) $(member_pid 2) $(member_pid 3)"
# shellcheck disable=SC2086
kill -STOP $members
n=0
while [ $n -lt 6 ]; do
    for one in $running; do
        curl -s -m 10 -o /dev/null -w '%{http_code} %{time_total}\n' "http://127.0.0.1:717$one/healthz" &
        asked="${asked:-} $!"
    done
    # shellcheck disable=SC2086
    wait $asked
    asked=
    n=$((n + 1))
done >"$T/silent"
# shellcheck disable=SC2086
kill -CONT $members
sort -k 2 -g "$T/silent" | tail -n 1 | sed 's/^/# silent: the longest: /'
is "silent etcd: each asks the server and is told within 2.6 s" \
    "$(awk '$1 != 0 && $2 < 2.6' "$T/silent" | wc -l)" "$(wc -l <"$T/silent")"
refreshed() { one_leads && [ "$(take "$lead" "$a" c1)" = 200 ]; }
ok "etcd speaks again: refreshed" wait_for 40 refreshed
# A slow disk under each member: 0.1 s more for each sync of its log. Much slower,
# on a busy machine, and a commit takes longer than a server waits for it.
slow=
for n in 1 2 3; do
    strace -f -qq -o "$T/null" -e trace=fdatasync -e inject=fdatasync:delay_exit=100000 \
        -p "$(member_pid $n)" 2>/dev/null &
    slow="$slow $!"
done
slowly() { # that a grant takes that long
    n=$((n + 1))
    slow_began=$(date +%s%N)
    [ "$(take "$lead" "$(printf 'AAAAAAAAAAAAAAAAS%04dA' $n)" c9)" = 200 ] &&
        [ $(($(date +%s%N) - slow_began)) -gt 100000000 ]
}
ok "a slow disk: a grant takes longer" wait_for 20 slowly
was=$lead
for n in 1 2 3 4 5 6 7 8; do
    echo "$(take "$lead" "$(printf 'AAAAAAAAAAAAAAAAT%04dA' $n)" c9)"
    echo "$(take "$lead" "$a" c1)"
done >"$T/slowly"
is "a slow disk: each is granted and refreshed" "$(sort "$T/slowly" | uniq -c | tr -s ' \n' ' ')" " 16 200 "
is "a slow disk: the same one answers" "$lead $(ask "$lead" /healthz)" "$was 200"
# shellcheck disable=SC2086
kill $slow && wait $slow 2>/dev/null
kill -KILL "$(member_pid 1)"
ok "a member lost: it still answers" wait_for 20 one_leads
ok "a member lost: refreshed" wait_for 20 refreshed
kill -KILL "$(member_pid 2)"
none_leads() {
    for one in $running; do ! leads "$one" || return 1; done
}
ok "no quorum: nobody answers" wait_for 20 none_leads
is "no quorum: neither yes nor no" "$(take 1 "$a" c1)$(take 2 "$a" c2)$(take 3 "$a" c3)" 503503503
etcd_member 1
etcd_member 2
ok "quorum again: refreshed" wait_for 40 refreshed
is "quorum again: refused to others" "$(take "$lead" "$a" c2)" 409
rev=$(ctl get -w json /justalock/leader | jq .header.revision)
ctl compact "$rev" >/dev/null
is "compacted: refreshed" "$(take "$lead" "$a" c1)" 200

# More changes at once than a transaction takes: 300 leases end together.
n=0
while [ $n -lt 300 ]; do
    n=$((n + 1))
    printf 'AAAAAAAAAAAAAAAAA%04dA\n' $n
done >"$T/ids"
xargs -P 20 -I ID curl -s -o /dev/null -w '%{http_code}\n' -d many -H 'Justalock-Share: many' \
    "http://127.0.0.1:717$lead/ID?s=2" <"$T/ids" >"$T/many" 2>&1
is "many: granted" "$(grep -c '^200' "$T/many")" 300
kill -STOP "$(pid "$lead")"
sleep 2
kill -CONT "$(pid "$lead")"
rows() { ctl get --prefix --keys-only /justalock/share/AAAAAAAAAAAAAAAAA | grep -c .; }
none_left() { [ "$(rows)" = 0 ]; }
ok "many: all gone when their leases have ended" wait_for 15 none_left
ok "many: refreshed" refreshed

# ---- a row that no server wrote -----------------------------------------------------------
ctl put "/justalock/share/$b/zz" '{"client":"6331","life_s":0}' >/dev/null
kill -KILL "$(pid "$lead")"
gone=$lead
without "$gone"
says() { grep -qs "share/$b/zz is not what a server wrote" "$T"/s?.log; }
ok "a wrong row: it is named" wait_for 20 says
ok "a wrong row: nobody answers" none_leads
ctl del "/justalock/share/$b/zz" >/dev/null
ok "taken out: refreshed" wait_for 20 refreshed
for n in $running; do kill "$(pid "$n")"; done

# ---- a member that is cut off and does not know it: what it knows proves nothing ----------
"$S" --listen 127.0.0.1:7177 --state etcd://127.0.0.1:2373 >"$T/s7.log" 2>&1 &
s7=$!
ok "a server that asks one member: it answers" wait_for 15 leads 7
is "one member: refreshed" "$(take 7 "$a" c1)" 200
kill -STOP "$(member_pid 1)" "$(member_pid 2)"
is "its member is cut off: it refreshes nothing" "$(take 7 "$a" c1)" 503
is "its member is cut off: it does not refuse either" "$(take 7 "$a" c2)" 503
kill -CONT "$(member_pid 1)" "$(member_pid 2)"
back() { [ "$(take 7 "$a" c1)" = 200 ]; }
ok "its member is back: refreshed" wait_for 20 back
kill $s7

# ---- TLS and a password ---------------------------------------------------------------------
mkdir "$T/tls" && cd "$T/tls" || exit 1
authority ours
certificate etcd ours DNS:localhost,IP:127.0.0.1 2
certificate named ours DNS:client 2 extendedKeyUsage=clientAuth
# With users, etcd 3.4's gateway refuses certificates with a common name.
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=client \
    -keyout client.key -out client.csr 2>/dev/null
openssl x509 -req -in client.csr -CA ours.pem -CAkey ours.key -CAcreateserial -days 2 \
    -extfile named.ext -out client.pem 2>/dev/null
secure() {
    etcd --name s --data-dir "$T/secure" --listen-peer-urls http://127.0.0.1:2390 \
        --initial-advertise-peer-urls http://127.0.0.1:2390 --initial-cluster s=http://127.0.0.1:2390 \
        --listen-client-urls https://127.0.0.1:2391 --advertise-client-urls https://127.0.0.1:2391 \
        --cert-file etcd.pem --key-file etcd.key --client-cert-auth --trusted-ca-file ours.pem \
        >>"$T/secure.log" 2>&1 &
    secure=$!
}
secure
sctl() { etcdctl --endpoints https://127.0.0.1:2391 --cacert ours.pem --cert client.pem --key client.key "$@" 2>/dev/null; }
up() { sctl endpoint health >/dev/null 2>&1; }
ok "etcd with TLS" wait_for 20 up
sctl user add root:secret >/dev/null
sctl user grant-role root root >/dev/null
# As the manual has it: rights on our keys and no others.
sctl role add justalock >/dev/null
sctl role grant-permission justalock readwrite --prefix /justalock/ >/dev/null
sctl user add justalock:words >/dev/null
sctl user grant-role justalock justalock >/dev/null
sctl auth enable >/dev/null
printf 'justalock:words\n' >user && chmod 600 user
printf 'justalock:wrong\n' >wrong && chmod 600 wrong
"$S" --listen 127.0.0.1:7174 --state etcd://127.0.0.1:2391 --etcd-ca ours.pem --etcd-cert client.pem \
    --etcd-key client.key --etcd-user wrong >"$T/s4.log" 2>&1 &
s4=$!
denied() { grep -qs 'etcd .*answers 4' "$T/s4.log"; }
ok "a wrong password: etcd's words" wait_for 10 denied
is "a wrong password: no answer" "$(ask 4 /healthz)" 503
kill $s4
"$S" --listen 127.0.0.1:7176 --state etcd://127.0.0.1:2391 --etcd-ca ours.pem --etcd-cert named.pem \
    --etcd-key named.key --etcd-user user >"$T/s6.log" 2>&1 &
s6=$!
named() { grep -qs 'CommonName of client' "$T/s6.log"; }
ok "a certificate with a name: etcd's words" wait_for 10 named
kill $s6
"$S" --listen 127.0.0.1:7175 --state etcd://127.0.0.1:2391 --etcd-ca ours.pem --etcd-cert client.pem \
    --etcd-key client.key --etcd-user user >"$T/s5.log" 2>&1 &
s5=$!
ok "the right one: it answers" wait_for 10 leads 5
is "and grants" "$(take 5 "$a" c1)" 200
kill -KILL $secure
secure
regranted() { [ "$(take 5 "$a" c1)" = 200 ]; }
ok "etcd has forgotten its tokens: logged in again" wait_for 30 regranted
kill $s5
wait $s5
is "it ends well" $? 0
tap_done
