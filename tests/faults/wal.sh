#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The server's log as a power cut may leave it: what was synced is there, of
# what was being written any number of bytes. Each answered grant stands after
# it, nothing is taken for damage, and who was not answered may ask again.
# Both in a young log (its room is made beforehand, of zeros) and where it begins
# anew over its old frames.
#
# FAULT_LONG=1: at every byte, not at frames and some more.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
S=$T/srv.sock
D=$T/srv
up() { # FOLDER
    "$B/bin/justalock-server" --listen "unix:$S" --state "$1" >"$T/log" 2>&1 &
    server=$!
    wait_for 20 serves
}
down() {
    kill -KILL $server
    wait $server 2>/dev/null
}
web() { curl -s -m 10 --unix-socket "$S" "$@"; }
serves() { web -o "$T/page" http://x/metrics; }
# The last three letters of a lock's id say its number.
post() { # NUMBER CLIENT [CURL OPTION...]: "CODE HOLDING"
    post_n=$(printf %03d "$1") post_client=$2
    shift 2
    web -o "$T/body" -D "$T/head" -w '%{http_code}' -d "$post_client" \
        -H "Justalock-Share: of.$post_client" "$@" \
        "http://x/AAAAAAAAAAAAAAAAAA${post_n}A?s=600"
    sed -n 's/\r$//; s/^Justalock-Holding: / /p' "$T/head" | tr -d '\n'
}
hex_head() { od -An -tx1 -N32 "$1" | tr -d ' \n'; }
number() { web http://x/v1/locks | jq '[.locks[]|select(.held)]|length'; }

# A folder as it was when N was answered, and the log when N + 1 was written.
synced() { # NAME
    rm -rf "${T:?}/$1"
    cp -a "$D" "$T/$1"
    rm -f "$T/$1/locks.db-shm" # of the kernel's memory, gone with the power
}
cut_at() { # NAME BYTES: that much of the new log was written
    rm -rf "$T/cut"
    cp -a "$T/$1" "$T/cut"
    head -c "$2" "$T/$1.new" >"$T/cut/locks.db-wal"
    tail -c +$(($2 + 1)) "$T/$1/locks.db-wal" >>"$T/cut/locks.db-wal" 2>/dev/null
}
# What stands and what does not, after a start on it.
verdict() { # HELD UNANSWERED: locks that were answered; the one that was not
    up "$T/cut"
    v_rc=ok
    grep -q 'damaged' "$T/log" && v_rc="damaged: $(cat "$T/log")"
    v_n=$(number)
    [ "$v_n" = "$1" ] || [ "$v_n" = $(($1 + 1)) ] || v_rc="$v_n of $1 locks"
    [ "$(post 1 rival)" = 409 ] || v_rc="the first one is granted twice"
    [ "$(post "$1" rival)" = 409 ] || v_rc="the last one is granted twice"
    [ "$(post "$1" holder)" = "200 renewed" ] || v_rc="its holder is refused"
    case $(post "$2" holder) in
    "200 new" | "200 renewed") ;;
    *) v_rc="who was not answered gets no answer: $(cat "$T/body")" ;;
    esac
    down
    echo "$v_rc"
}
cuts() { # NAME FROM TO: where to cut, each once
    if [ -n "${FAULT_LONG:-}" ]; then
        seq "$2" "$3"
        return
    fi
    for c_at in $(seq 32 4120 "$3"); do
        for c_by in -1 0 1 2000; do
            echo $((c_at + c_by))
        done
    done | awk -v f="$2" -v t="$3" '$1 >= f && $1 <= t'
    echo "$2"
    echo "$3"
}
try() { # TEXT NAME HELD FROM TO
    t_n=0
    : >"$T/bad"
    for t_at in $(cuts "$2" "$4" "$5" | sort -nu); do
        cut_at "$2" "$t_at"
        t_v=$(verdict "$3" $(($3 + 1)))
        [ "$t_v" = ok ] || echo "at $t_at: $t_v" >>"$T/bad"
        t_n=$((t_n + 1))
    done
    ok "$1: cut at $t_n places of $4 to $5" [ "$t_n" -gt 7 ]
    is "$1: each answered grant stands" "$(head -n 5 "$T/bad")" ""
}

# Where two logs of one size differ: "FROM TO", bytes before and up to.
differ() { cmp -l "$1" "$2" | awk 'NR == 1 { f = $1 - 1 } END { print f + 0, $1 + 0 }'; }

# ---- a young log -------------------------------------------------------------
up "$D"
for n in 1 2 3; do post $n holder >"$T/null"; done
synced grown
size=$(stat -c %s "$D/locks.db-wal")
ok "room for the log is made beforehand, $size bytes" [ "$size" -gt 4120000 ]
is "a grant" "$(post 4 holder)" "200 new"
cp "$D/locks.db-wal" "$T/grown.new"
is "the log does not grow by it" "$(stat -c %s "$D/locks.db-wal")" "$size"
down
differ "$T/grown/locks.db-wal" "$T/grown.new" >"$T/at"
read -r before after <"$T/at"
before=$(((before - 32) / 4120 * 4120 + 32)) # its frame's begin
ok "it was written from $before to $after" [ "$after" -gt "$before" ]
try "a young log" grown 3 "$before" "$after"

# ---- the log begins anew -----------------------------------------------------
up "$D"
n=4
filled=0
while [ "$filled" -lt 3600000 ] && [ $n -lt 900 ]; do
    cp "$D/locks.db-wal" "$T/old"
    web -o "$T/body" -d holder -H "Justalock-Share: of.holder" \
        "http://x/AAAAAAAAAAAAAAAAAA[$(printf %03d $((n + 1)))-$(printf %03d $((n + 20)))]A?s=600"
    n=$((n + 20))
    differ "$T/old" "$D/locks.db-wal" >"$T/at"
    read -r _ filled <"$T/at"
done
head=$(hex_head "$D/locks.db-wal")
while [ $n -lt 900 ]; do
    synced anew
    n=$((n + 1))
    post $n holder >"$T/null"
    now=$(hex_head "$D/locks.db-wal")
    [ "$now" = "$head" ] || break
done
cp "$D/locks.db-wal" "$T/anew.new"
down
ok "the log begins anew at grant $n" [ $n -lt 900 ]
differ "$T/anew/locks.db-wal" "$T/anew.new" >"$T/at"
read -r _ written <"$T/at"
try "the log begins anew" anew $((n - 1)) 0 "$written"
# A harsher one than a power cut: what was answered is cut. It must be seen,
# or the checks above see nothing.
cut_at grown "$before"
truncate -s $((before - 1)) "$T/cut/locks.db-wal"
ok "a cut into what was synced is not taken for good" \
    [ "$(verdict 3 4)" != ok ]
tap_done
