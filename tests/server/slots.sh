#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Pools at the server: who comes in, in which slot, over its death too; a state
# of before there were slots; what it shows, and the break of one slot.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
S=$T/srv.sock
up() {
    "$B/bin/justalock-server" --listen "unix:$S" --state "$T/srv" \
        >>"$T/srv.log" 2>&1 &
    server=$!
    wait_for 20 serves
}
web() { curl -s -m 20 --unix-socket "$S" "$@"; }
serves() { web -o "$T/page" http://x/metrics; }
down() {
    kill -"$1" $server
    wait $server 2>/dev/null
}
post() { # ID CLIENT SLOTS|- [CURL OPTION...]: "CODE HOLDING SLOT"
    post_url="http://x/AAAAAAAAAAAAAAAAAAAA$1?s=100" post_client=$2 post_slots=$3
    shift 3
    [ "$post_slots" = - ] || set -- -H "Justalock-Slots: $post_slots" "$@"
    web -o "$T/body.$post_client" -D "$T/head.$post_client" -w '%{http_code}' -d "$post_client" \
        -H "Justalock-Share: of.$post_client" -H "Justalock-Label: $post_client" \
        "$@" "$post_url"
    sed -n 's/\r$//; s/^Justalock-\(Holding\|Slot\): / /p' "$T/head.$post_client" | tr -d '\n'
}
give() { post "$1" "$2" - -X DELETE; }
view() { web "http://x/v1/locks/AAAAAAAAAAAAAAAAAAAA$1" | jq -cr "$2"; }
brk() { web -o "$T/body" -w '%{http_code}' -X POST "http://x/v1/locks/AAAAAAAAAAAAAAAAAAAA$1/break$2"; }
up

# ---- in, in their slots ------------------------------------------------------
is "one of three" "$(post AQ a 3)" "200 new 0"
is "another" "$(post AQ b 3)" "200 new 1"
is "a third" "$(post AQ c 3)" "200 new 2"
is "no fourth" "$(post AQ d 3)" 409
is "nor one who says nothing of slots" "$(post AQ e -)" 409
is "nor one who would be in with more" "$(post AQ e 1024)" 409
is "a refresh stays in its slot" "$(post AQ b 3)" "200 renewed 1"
is "given back" "$(give AQ b)" 200
is "that slot is the next one's" "$(post AQ d 3)" "200 new 1"
is "who says nothing of slots is not told of one" "$(post Ag alone -)" "200 new"
is "and is alone" "$(post Ag b 3)" 409
is "one is as none" "$(post Aw one 1) $(post Aw two 1)" "200 new 0 409"
is "0 slots" "$(post Aw x 0)" 400
is "1025 slots" "$(post Aw x 1025)" 400

# ---- what is shown -------------------------------------------------------------
is "its holders" "$(view AQ '[.held, .slots, .holder, [.holders[] | [.slot, .holder]]]')" \
    '[true,3,"a",[[0,"a"],[1,"d"],[2,"c"]]]'
is "in the list too" "$(web http://x/v1/locks |
    jq -c '[.locks[] | select(.slots) | .holders[].holder]')" '["a","d","c"]'
is "one that is no pool has none" "$(view Ag '[.holder, .slots, .holders]')" '["alone",null,null]'
is "each in a row of the page" "$(web http://x/ | grep -c 'slot [012] of 3')" 3
is "counted" "$(web http://x/metrics | sed -n 's/^justalock_locks_held //p')" 5

# ---- its death -----------------------------------------------------------------
post AQ w1 3 -H 'Justalock-Wait: 30' >"$T/w1" &
w1=$!
waits() { [ "$(view AQ .waiters)" = "$1" ]; }
wait_for 20 waits 1
down KILL
wait $w1
up
is "killed: all are held" "$(view AQ '[.slots, [.holders[] | [.slot, .holder]]]')" \
    '[3,[[0,"a"],[1,"d"],[2,"c"]]]'
is "killed: nobody more comes in" "$(post AQ e 3) $(post AQ e 4)" "409 409"
is "killed: each is where it was" "$(post AQ c 3) $(post AQ a 3) $(post AQ d 3)" \
    "200 renewed 2 200 renewed 0 200 renewed 1"

# ---- the queue -------------------------------------------------------------------
post AQ w1 3 -H 'Justalock-Wait: 30' >"$T/w1" &
w1=$!
wait_for 20 waits 1
web -o "$T/none" -D "$T/head2" -d w2 -H 'Justalock-Share: of.w2' -H 'Justalock-Slots: 3' \
    -H 'Justalock-Wait: 30' "http://x/AAAAAAAAAAAAAAAAAAAAAQ?s=100" &
w2=$!
wait_for 20 waits 2
is "one goes" "$(give AQ c)" 200
wait $w1
is "the first who waited has its turn" "$(cat "$T/w1")" "200 offered"
is "another does not" "$(post AQ e 3)" 409
is "confirmed: the slot that is free" "$(post AQ w1 3)" "200 new 2"
is "the next" "$(give AQ a)" 200
wait $w2
is "has the next" "$(post AQ w2 3)" "200 new 0"

# ---- the break -------------------------------------------------------------------
is "no such slot in use" "$(brk AQ '?slot=9') $(cat "$T/body")" \
    "404 nobody holds this slot of the lock"
is "no such slot at all" "$(brk AQ '?slot=1024')" 400
is "one is broken" "$(brk AQ '?slot=1')" 200
is "its holder is refused, and told why" "$(post AQ d 3)" "409 broken"
is "the others are not" "$(post AQ w1 3) $(post AQ w2 3)" "200 renewed 2 200 renewed 0"
is "all are broken" "$(brk AQ '') $(post AQ w1 3) $(post AQ w2 3)" "200 409 broken 409 broken"
is "and shown so" "$(view AQ '[.holders[].broken]')" '[true,true,true]'

# ---- a state of before there were slots ----------------------------------------
down TERM
command -v sqlite3 >/dev/null || {
    skip "an older state" "sqlite3 is not installed"
    tap_done
    exit
}
sqlite3 "$T/srv/locks.db" >"$T/sql" <<'END'
CREATE TABLE was AS SELECT * FROM share WHERE slots=1;
DROP TABLE share;
CREATE TABLE share(lock BLOB NOT NULL, share TEXT NOT NULL,
    client BLOB NOT NULL, life_s INTEGER NOT NULL, label TEXT NOT NULL,
    token INTEGER NOT NULL, since_s INTEGER NOT NULL, broken INTEGER NOT NULL,
    PRIMARY KEY(lock, share)) WITHOUT ROWID;
INSERT INTO share SELECT lock, share, client, life_s, label, token, since_s,
    broken FROM was;
DROP TABLE was;
PRAGMA user_version=1;
END
up
is "of before there were slots: held" "$(post Ag alone -) $(post Aw one 1)" \
    "200 renewed 200 renewed 0"
is "alone, as before" "$(post Ag b 3)" 409
like "said once" "$(grep -c 'brought to version 2' "$T/srv.log")" '^1$'
down KILL
up
is "and after a kill" "$(post Ag alone -) $(post AQ f 2)" "200 renewed 200 new 0"
tap_done
