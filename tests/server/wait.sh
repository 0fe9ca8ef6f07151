#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The lock protocol over HTTP on the real server: waiting in order, offers,
# shares, released shares that come late, leases that end, views, and each
# interleaving that once broke a design (released twice, refreshed too late,
# granted at the end of a long wait, a waiter that vanished, two nodes of one
# job in the queue).

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
S=$T/srv.sock
service_start
web() { curl -s -m 45 --unix-socket "$S" "$@"; }
# One request: prints "CODE", "CODE HOLDING" or "CODE HOLDING TOKEN"; its head
# is $T/head.CLIENT.SHARE.
ask() { # VERB ID CLIENT SHARE [S [CURL OPTION...]]
    ask_verb=$1 ask_id=$2 ask_client=$3 ask_share=$4 ask_s=${5:-60}
    shift 4
    [ $# = 0 ] || shift
    ask_head=$T/head.$ask_client.$ask_share
    web -o "$T/body.$ask_client.$ask_share" -D "$ask_head" -w '%{http_code}' \
        -X "$ask_verb" -d "$ask_client" -H "Justalock-Share: $ask_share" "$@" \
        "http://x/AAAAAAAAAAAAAAAAAAAA$ask_id?s=$ask_s"
    sed -n 's/\r$//; s/^Justalock-\(Holding\|Token\): / /p' "$ask_head" |
        tr -d '\n'
}
post() { ask POST "$@"; }
give() { ask DELETE "$@"; }
# In the background, into $T/got.CLIENT.SHARE; returns when it is in the queue,
# which then has COUNT places.
queue() { # ID CLIENT SHARE COUNT [WAIT]
    post "$1" "$2" "$3" 60 -H "Justalock-Wait: ${5:-30}" \
        >"$T/got.$2.$3.new" &&
        mv "$T/got.$2.$3.new" "$T/got.$2.$3" &
    queue_pid=$!
    wait_for 20 has_waiters "$1" "$4" || echo "# $2 $3 is not in the queue"
}
view() { web "http://x/v1/locks/AAAAAAAAAAAAAAAAAAAA$1" | jq -r "$2"; }
has_waiters() { [ "$(view "$1" .waiters)" = "$2" ]; }
has() { [ -s "$T/got.$1.$2" ]; }
got() { # CLIENT SHARE: what the one that waited was told; waits for it
    wait_for 40 has "$1" "$2"
    cat "$T/got.$1.$2"
    rm -f "$T/got.$1.$2"
}
still() { has "$1" "$2" && echo answered || echo waits; }
is_free() { [ "$(view "$1" .held)" = false ]; }
metric() { web http://x/metrics | awk -v n="justalock_$1" '$1 == n { print $2 }'; }

# ---- in order ---------------------------------------------------------------
is "a holder" "$(post AQ one a 60 -H 'Justalock-Label: node1 job 7')" "200 new 1"
queue AQ two b 1
queue AQ three c 2
queue AQ four d 3
is "three wait" "$(view AQ .waiters) $(still two b)" "3 waits"
is "another is refused meanwhile" "$(post AQ other z)" 409
like "and is told who holds it" "$(cat "$T/head.other.z")" \
    'Justalock-Holder: node1 job 7'
like "and since when" "$(cat "$T/head.other.z")" \
    'Justalock-Since: 20[0-9-]+T[0-9:]+Z'
is "it is given back" "$(give AQ one a)" "200"
is "the first is offered it" "$(got two b)" "200 offered"
is "the others wait on" "$(still three c) $(still four d)" "waits waits"
is "an offer is no holding" "$(view AQ .held)" false
is "what is offered is nobody else's" "$(post AQ other z)" 409
is "it confirms" "$(post AQ two b)" "200 new 2"
is "and gives it back" "$(give AQ two b)" "200"
is "then the second" "$(got three c)" "200 offered"
is "which confirms" "$(post AQ three c)" "200 new 3"
is "and gives it back in turn" "$(give AQ three c)" "200"
is "then the third" "$(got four d)" "200 offered"
is "which declines" "$(give AQ four d)" "409"
is "free, with nobody in the queue" "$(post AQ five e)" "200 new 4"
is "given back" "$(give AQ five e)" "200"
is "an offer is for nobody in an empty queue: granted at once" \
    "$(post AQ six f 60 -H 'Justalock-Wait: 30')" "200 new 5"

# ---- those that wait no longer ------------------------------------------------
queue AQ gone a 1
gone=$queue_pid
queue AQ next b 2
kill "$(pgrep -P "$gone" curl || echo "$gone")"
wait "$gone" 2>/dev/null
is "the holder gives it back" "$(give AQ six f)" "200"
is "a waiter that went away is passed over" "$(got next b)" "200 offered"
is "none was offered to it" "$(metric offers_lapsed_total)" 0
is "the next confirms" "$(post AQ next b)" "200 new 6"
# One that is there but silent, as a host without power: its kernel answers,
# it never confirms.
queue AQ frozen a 2
queue AQ after b 3
from=$(now_ms)
is "given back to one that will not confirm" "$(give AQ next b)" "200"
is "it is offered" "$(got frozen a)" "200 offered"
is "then the one behind it" "$(got after b)" "200 offered"
took=$(($(now_ms) - from))
ok "after its 5 s ($took ms)" [ $took -ge 5000 ]
is "counted" "$(metric offers_lapsed_total)" 1
is "too late for the first" "$(post AQ frozen a)" 409
is "the one behind confirms" "$(post AQ after b)" "200 new 7"
is "the wait of a client that gives up is answered" "$(
    queue AQ quits q 1
    give AQ quits q
    echo " $(got quits q)"
)" "409 409"
queue AQ short s 1 1
is "a wait ends" "$(got short s)" 409
queue AQ later t 2
queue AQ short s 2
is "its place was kept while it asked again: it is first" \
    "$(give AQ after b) $(got short s) $(still later t)" "200 200 offered waits"
is "first confirms" "$(post AQ short s)" "200 new 8"
# A wait of 0 is none.
is "a wait of 0 s" "$(post AQ no w 60 -H 'Justalock-Wait: 0')" 409
is "the lock goes on to the last" "$(give AQ short s) $(got later t)" \
    "200 200 offered"
is "and is given back by it" "$(post AQ later t) $(give AQ later t)" \
    "200 new 9 200"

# ---- shares -------------------------------------------------------------------
is "a share" "$(post Ag job a 60)" "200 new 10"
is "a second one joins: the same token" "$(post Ag job b 60)" "200 renewed 10"
is "two shares" "$(view Ag .shares)" 2
is "one is given back" "$(give Ag job a)" "200"
is "the other one holds it" "$(post Ag rival r)" 409
is "what was given back does not come again" "$(post Ag job a)" 409
is "a third one joins" "$(post Ag job c)" "200 renewed 10"
is "somebody else gives it back: no" "$(give Ag rival b)" 409
is "nor with a share that nobody has" "$(give Ag job nope)" 409
is "still held by two" "$(view Ag '"\(.held) \(.shares)"')" "true 2"
is "both given back" "$(give Ag job b)$(give Ag job c)" "200200"
is "free" "$(view Ag .held)" false
is "a share each, different ends" \
    "$(post Ag job e 60) $(post Ag job d 1)" "200 new 11 200 renewed 11"
one_left() { [ "$(view Ag .shares)" = 1 ]; }
ok "one lapses" wait_for 20 one_left
is "the other one holds it on" "$(post Ag rival r) $(post Ag job e)" \
    "409 200 renewed 11"
is "a POST never moves an end earlier" \
    "$(post Ag job e 1) $(view Ag '.expires_ms > 50000')" "200 renewed 11 true"
is "a longer one does move it" \
    "$(post Ag job e 600) $(view Ag '.expires_ms > 590000')" "200 renewed 11 true"
give Ag job e >"$T/null"

# ---- a lease that ends ----------------------------------------------------------
is "for 1 s" "$(post Aw brief a 1)" "200 new 12"
queue Aw heir h 1
is "the waiter is offered it at its end" "$(got heir h)" "200 offered"
is "who let it lapse is late" "$(post Aw brief a)" 409
is "the heir confirms" "$(post Aw heir h)" "200 new 13"
is "counted as expired" "$(metric expired_total)" 2
is "for 1 s, alone" "$(post BA brief a 1)" "200 new 14"
ok "it is free after that" wait_for 20 is_free BA
is "its refresh is a new holding, and says so" "$(post BA brief a)" "200 new 15"

# ---- what went wrong elsewhere ----------------------------------------------------
# A DELETE whose answer was lost is sent again by libcurl or a proxy, when the
# same client has the lock again, by a fresh share.
is "step 1 holds and gives back" "$(post BQ job s1) $(give BQ job s1)" \
    "200 new 16 200"
is "step 2 of the same job takes it" "$(post BQ job s2)" "200 new 17"
is "the first release again: not its share" "$(give BQ job s1)" 409
is "a rival does not get it" "$(post BQ rival r)" 409
is "step 2 holds on" "$(post BQ job s2)" "200 renewed 17"
# A refresh that was given up, and lands after the release.
is "step 2 gives back" "$(give BQ job s2)" "200"
is "its late refresh holds nothing" "$(post BQ job s2) $(view BQ .held)" "409 false"
is "the rival gets it" "$(post BQ rival r)" "200 new 18"
is "the late refresh once more, and the release" \
    "$(post BQ job s2)$(give BQ job s2)" "409409"
is "the rival holds on" "$(post BQ rival r)" "200 renewed 18"
# A release that overtakes its own POST.
is "a release before its POST" "$(give Bg hasty h)" 409
is "that POST takes nothing" "$(post Bg hasty h) $(view Bg .held)" "409 false"
is "a POST that is sent twice" "$(post Bg twice t) $(post Bg twice t)" \
    "200 new 19 200 renewed 19"
is "it is given back once" "$(give Bg twice t)$(give Bg twice t)" "200409"
# A wait longer than the lease: the lease counts from the confirmation.
is "held" "$(post Bw holder h)" "200 new 20"
web -o "$T/null" -X POST -d patient -H 'Justalock-Share: p' \
    -H 'Justalock-Wait: 30' -D "$T/long" "http://x/AAAAAAAAAAAAAAAAAAAABw?s=1" &
long=$!
wait_for 20 has_waiters Bw 1
sleep 1.5 # longer than its lease: that is the point
is "given back after a wait longer than the lease" "$(give Bw holder h)" "200"
wait $long
like "an offer, no lease that is over" "$(cat "$T/long")" \
    'Justalock-Holding: offered'
is "its POST counts" "$(post Bw patient p 20) $(view Bw \
    '.expires_ms > 15000 and .expires_ms <= 20000')" "200 new 21 true"
# Node A of job 1, job 2, node B of job 1: B must not stand behind job 2.
is "held" "$(post CA zero z)" "200 new 22"
queue CA job1 nodeA 1
queue CA job2 nodeX 2
queue CA job1 nodeB 3
is "given back" "$(give CA zero z)" "200"
is "an offer wakes both nodes of the job" "$(got job1 nodeA) $(got job1 nodeB)" \
    "200 offered 200 offered"
is "and not the other job" "$(still job2 nodeX)" waits
is "both confirm" "$(post CA job1 nodeB) $(post CA job1 nodeA)" \
    "200 new 23 200 renewed 23"
queue CA job1 nodeC 1
is "a node that comes to a held lock of its job joins" \
    "$(got job1 nodeC)" "200 renewed 23"
is "all three give it back: job 2" \
    "$(give CA job1 nodeA)$(give CA job1 nodeB)$(give CA job1 nodeC) $(got job2 nodeX)" \
    "200200200 200 offered"

# ---- what anyone may see ------------------------------------------------------------
is "/healthz" "$(web http://x/healthz)" ok
is "a lock that nobody has" "$(web http://x/v1/locks/AAAAAAAAAAAAAAAAAAAA_A)" \
    '{"lock":"AAAAAAAA...","held":false,"waiters":0}'
is "one of a label that is no JSON" \
    "$(post CQ 'secret"id' s 60 -H 'Justalock-Label: a"b\c <i>&')" "200 new 24"
is "its label as it was" "$(view CQ .holder)" 'a"b\c <i>&'
list=$(web http://x/v1/locks)
is "all of them" "$(printf '%s' "$list" | jq '[.locks[]|select(.held)]|length')" \
    "$(metric locks_held)"
is "client ids are nowhere" "$({
    printf '%s' "$list"
    web http://x/ http://x/metrics http://x/v1/locks/AAAAAAAAAAAAAAAAAAAACQ
} | grep -c 'secret')" 0
is "nor whole ids of locks" "$(printf '%s' "$list" | grep -c 'AAAAAAAAA')" 0
page=$(web -D "$T/page" http://x/)
like "the page names the holder, as text" "$page" 'a&quot;b\\c &lt;i&gt;&amp;'
like "the page may load nothing" "$(cat "$T/page")" \
    "Content-Security-Policy: default-src 'none'"
is "types" "$(for p in / /v1/locks /metrics /healthz; do
    web -o "$T/null" -w '%{content_type};' "http://x$p"
done)" "text/html; charset=utf-8;application/json;text/plain; version=0.0.4;text/plain; charset=utf-8;"
is "every answer says what the server can" "$(for p in / /v1/locks /nope; do
    web -D - -o "$T/null" "http://x$p" | tr -d '\r' | grep '^Justalock-F'
done | sort -u)" "Justalock-Features: wait release token holder share slots"
is "metrics: grants" "$(metric grants_total)" 24
like "metrics: each line has its form" \
    "$(web http://x/metrics | grep -cvE '^(# (HELP|TYPE) justalock_[a-z_]+ .*|justalock_[a-z_]+(\{method="[A-Za-z]+",code="[0-9]+"\}|\{limit="[a-z-]+"\})? [0-9.]+)$')" '^0$'

# ---- breaking a lock ----------------------------------------------------------------
broke() { web -o "$T/null" -w '%{http_code}' "$@"; }
is "root breaks a lock over the unix socket" \
    "$(broke -X POST http://x/v1/locks/AAAAAAAAAAAAAAAAAAAACQ/break)" 200
is "its refreshes are refused, and it is told why" "$(post CQ 'secret"id' s)" "409 broken"
is "it is held until its holder lets go" \
    "$(view CQ '"\(.held) \(.broken)"') $(give CQ 'secret"id' s) $(view CQ .held)" \
    "true true 200 false"
is "one that nobody holds" \
    "$(broke -X POST http://x/v1/locks/AAAAAAAAAAAAAAAAAAAACQ/break)" 404
is "an ordinary user does not break locks" "$(setpriv --reuid 65534 \
    --clear-groups curl -s -m 10 -o /dev/null -w '%{http_code}' --unix-socket \
    "$S" -X POST http://x/v1/locks/AAAAAAAAAAAAAAAAAAAABw/break)" 403
is "an ordinary user may take one" "$(setpriv --reuid 65534 --clear-groups \
    curl -s -m 10 -o /dev/null -w '%{http_code}' --unix-socket "$S" -d user \
    http://x/AAAAAAAAAAAAAAAAAAAACg)" 200
service_stop
is "the server ends as asked" $? 0
tap_done
