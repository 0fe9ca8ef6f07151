#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Clients with a list of the three servers that share an etcd: what they hold
# stays held, and who waits waits on, while the active server is stopped,
# killed and paused. A command on its own, and two through the agent.

. tests/lib/tap.sh
. tests/lib/agent.sh
needs etcd etcdctl curl jq
agent_private "$0" "$@"
J=$B/bin/justalock
export ETCDCTL_API=3 JUSTALOCK_CONFIG="$T/conf.json"

# ---- etcd, servers ------------------------------------------------------------------
etcd --name m --data-dir "$T/etcd" --listen-client-urls http://127.0.0.1:2371 \
    --advertise-client-urls http://127.0.0.1:2371 --listen-peer-urls http://127.0.0.1:2381 \
    --initial-advertise-peer-urls http://127.0.0.1:2381 --initial-cluster m=http://127.0.0.1:2381 \
    >"$T/etcd.log" 2>&1 &
healthy() { etcdctl --endpoints 127.0.0.1:2371 endpoint health >/dev/null 2>&1; }
ok "an etcd" wait_for 30 healthy
server() { # N
    "$B/bin/justalock-server" --listen "127.0.0.1:717$1" --listen "unix:$T/s$1.sock" \
        --state etcd://127.0.0.1:2371 >>"$T/s$1.log" 2>&1 &
    eval "s$1=$!"
}
leads() { [ "$(curl -s -m 2 -o "$T/body" -w '%{http_code}' "http://127.0.0.1:717$1/healthz")" = 200 ]; }
one_leads() { # of the servers that run; sets lead
    lead=
    for one in $running; do
        ! leads "$one" || lead=$one
    done
    [ -n "$lead" ]
}
pid() { eval "echo \$s$1"; }
without() { running=$(echo "$running" | tr ' ' '\n' | grep -vx "$1" | xargs); }
running="1 2 3"
for n in $running; do server $n; done
ok "one of three servers answers" wait_for 15 one_leads
standby=$((lead % 3 + 1))
urls=http://127.0.0.1:7171,http://127.0.0.1:7172,http://127.0.0.1:7173

# ---- each client takes a list ----------------------------------------------------------
cat >"$T/conf.json" <<END
{ "service": { "url": [ "http://127.0.0.1:7171", "http://127.0.0.1:7172",
                        "http://127.0.0.1:7173" ] },
  "secret_file": "$T/secret", "defaults": { "lifetime": 30 } }
END
is "the configuration takes a list" "$("$J" config show --json | jq -r .service.url)" "$urls"
state() { "$J" status --json "$@" | jq -r .state; }
is "status: free, of the active one" "$(state a)" free
ok "a standby alone is not asked in vain" "$J" run -n --no-agent \
    --url "http://127.0.0.1:717$standby,http://127.0.0.1:717$lead" x true
"$B/tests/examples/api" "$urls" >"$T/api.tap" 2>&1
ok "the C API through a list" [ $? = 0 ]
grep '^not ok' "$T/api.tap"

# A server on its own is not one of them, whatever it says.
"$B/bin/justalock-server" --listen 127.0.0.1:7174 --state "$T/own" >"$T/own.log" 2>&1 &
own=$!
own_up() { leads 4; }
ok "a server on its own" wait_for 10 own_up
alien=http://127.0.0.1:7174
is "it grants nothing where one of several is asked" \
    "$("$J" run --no-agent -n --url "$alien,http://127.0.0.1:7175" y echo run 2>"$T/err"; echo $?)" 69
like "which is said" "$(cat "$T/err")" 'active one of several'
is "and what was asked is given back" "$(state --url "$alien" y)" free
is "the others do all the same" \
    "$("$J" run --no-agent -n --url "$alien,$urls" y echo run)" run
kill $own
is "release, at the active one's socket" \
    "$("$J" run --no-agent -n y "$J" release --yes --url "unix:$T/s$standby.sock,unix:$T/s$lead.sock" y |
        grep -c '^y: ')" 1

# ---- held through takeovers ---------------------------------------------------------------
agent_start
ticks
touch "$T/go"
cat >"$T/work" <<'END'
#!/bin/sh
# TICKS GO: ticks while the file GO is there
"$(dirname "$0")/ticks" "$1" &
while [ -e "$2" ]; do sleep 0.1; done
kill $!
END
chmod 755 "$T/work"
cat >"$T/turn" <<'END'
#!/bin/sh
echo $(($(date +%s%N) / 1000000)) >"$1"
END
chmod 755 "$T/turn"
"$J" run --no-agent --url "$urls" -t 30 a "$T/work" "$T/a.ticks" "$T/go" >"$T/a.out" 2>&1 &
holder=$!
client command locks=b -- "$T/work" "$T/b.ticks" "$T/go" >"$T/b.out" 2>&1 &
ok "a command holds a lock" wait_for 10 is_ticking "$T/a.ticks"
ok "one holds another through the agent" wait_for 10 is_ticking "$T/b.ticks"
"$J" run --no-agent --url "$urls" a "$T/turn" "$T/a.turn" >"$T/aw.out" 2>&1 &
waiter=$!
client command locks=b wait=600000 -- "$T/turn" "$T/b.turn" >"$T/bw.out" 2>&1 &
waits() { [ "$("$J" status --json "$1" | jq -r .waiters)" = 1 ]; }
ok "one waits for it" wait_for 10 waits a
ok "and for the other" wait_for 10 waits b

none_ran() { [ ! -e "$T/a.turn" ] && [ ! -e "$T/b.turn" ]; }
held() { # TEXT: another leads, nothing was lost, who waits does
    began=$(now_ms)
    ok "$1: another answers" wait_for 20 one_leads
    echo "# $1: another after $(($(now_ms) - began)) ms"
    ok "$1: it is another" [ "$lead" != "$gone" ]
    ok "$1: one waits there" wait_for 25 waits a
    ok "$1: and for the agent's" wait_for 25 waits b
    echo "# $1: all wait there after $(($(now_ms) - began)) ms"
    is "$1: held" "$(state a) $(state b)" "held held"
    ok "$1: the work goes on" is_ticking "$T/a.ticks"
    ok "$1: the agent's, too" is_ticking "$T/b.ticks"
    ok "$1: who waits has not run" none_ran
}
gone=$lead
kill "$(pid "$gone")" && wait "$(pid "$gone")"
without "$gone"
held stopped
server "$gone"
running="$running $gone"
gone=$lead
kill -KILL "$(pid "$gone")"
without "$gone"
held killed
server "$gone"
running="$running $gone"
gone=$lead
kill -STOP "$(pid "$gone")"
without "$gone"
held paused
kill -CONT "$(pid "$gone")"
running="$running $gone"

# ---- and given back ----------------------------------------------------------------------
freed=$(now_ms)
rm "$T/go"
wait $holder
is "the command ended well: nothing was lost" $? 0
took_turns() { [ -s "$T/a.turn" ] && [ -s "$T/b.turn" ]; }
ok "who waited gets its turn" wait_for 10 took_turns
ok "at once ($(($(cat "$T/a.turn") - freed)) and $(($(cat "$T/b.turn") - freed)) ms)" \
    [ $(($(cat "$T/a.turn") - freed)) -lt 5000 ]
wait $waiter
is "and ends well" $? 0
is "the agent's holder was told of no loss" "$(grep '^lost' "$T/b.out")" ""
agent_stop
tap_done
