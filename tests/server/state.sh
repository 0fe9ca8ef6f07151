#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The server's folder of state: damaged in many ways, full, read-only, already
# in use, of the wrong mode; what a restart keeps; and the options.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
S=$T/srv.sock
D=$T/srv
rmdir "$D"
up() {
    "$B/bin/justalock-server" --listen "unix:$S" --state "$D" >"$T/log" 2>&1 &
    server=$!
    wait_for 20 serves
}
web() { curl -s -m 20 --unix-socket "$S" "$@"; }
serves() { web -o "$T/page" http://x/metrics; }
down() {
    kill -"${1:-TERM}" $server
    wait $server 2>/dev/null
}
post() { # ID CLIENT S [CURL OPTION...]: "CODE HOLDING TOKEN"
    post_url="http://x/AAAAAAAAAAAAAAAAAAAA$1?s=$3" post_client=$2
    shift 3
    web -o "$T/body" -D "$T/head" -w '%{http_code}' -d "$post_client" \
        -H "Justalock-Share: of.$post_client" "$@" "$post_url"
    sed -n 's/\r$//; s/^Justalock-\(Holding\|Token\): / /p' "$T/head" | tr -d '\n'
}
head_of() { sed -n "s/\r\$//; s/^$1: //p" "$T/head"; }
view() { web "http://x/v1/locks/AAAAAAAAAAAAAAAAAAAA$1" | jq -r "$2"; }
within() { [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }
# Does not start: "STATUS SENTENCE".
refusal() { # OPTION...
    timeout 20 "$B/bin/justalock-server" "$@" >"$T/log" 2>&1
    echo "$? $(tail -n 1 "$T/log")"
}

# ---- a first start, and a restart ------------------------------------------
up
like "a folder that is missing is a first start" "$(cat "$T/log")" 'first start'
is "the folder is the server's alone" "$(stat -c %a "$D")" 700
is "its files too" "$(stat -c %a "$D"/* | sort -u)" 600
is "a lock" "$(post AQ one 100)" "200 new 1"
is "another, a short one" "$(post Ag two 5)" "200 new 2"
is "one that is given back" "$(post Aw three 100) $(post Aw three 100 -X DELETE)" \
    "200 new 3 200"
is "one that grew" "$(post BA four 20) $(post BA four 200) $(post BA four 30)" \
    "200 new 4 200 renewed 4 200 renewed 4"
like "a second server on the folder is refused" \
    "$(refusal --listen "unix:$T/other" --state "$D")" \
    '^1 .*another justalock-server has this folder'
is "the first one has not noticed" "$(post AQ one 100)" "200 renewed 1"
like "a second server on the socket is refused" \
    "$(refusal --listen "unix:$S" --state "$T/other.d")" '^1 .*in use'

for how in KILL TERM; do
    down $how
    up
    like "after SIG$how: the state is loaded" "$(cat "$T/log")" \
        'state loaded, 3 locks held'
    is "after SIG$how: a lock is held whole again" \
        "$(view AQ '.held and .expires_ms > 90000 and .expires_ms <= 100000')" true
    is "after SIG$how: with the longest lease that was given" \
        "$(view BA '.expires_ms > 190000')" true
    is "after SIG$how: a rival is refused" "$(post AQ rival 100)" 409
    is "after SIG$how: the holder goes on" "$(post AQ one 100)" "200 renewed 1"
    is "after SIG$how: what was released stays so" "$(post Aw three 100)" 409
    is "after SIG$how: nobody has the short one before its end" \
        "$(view Ag .held) $(post Ag rival 5)" "true 409"
done
over() { [ "$(view Ag .held)" = false ]; }
ok "the short lease ends, some time after the restart" wait_for 30 over
is "tokens go on" "$(post Ag next 100)" "200 new 5"

# ---- its end ----------------------------------------------------------------
post AQ rival 100 -H 'Justalock-Wait: 30' >"$T/waiter" &
waiter=$!
waits() { [ "$(view AQ .waiters)" = 1 ]; }
ok "one waits" wait_for 20 waits
kill $server
wait $waiter
like "SIGTERM answers it: 503" "$(cat "$T/waiter")" '^503'
wait $server
is "and the status is 0" $? 0
ok "the folder is marked as left in order" [ ! -e "$D/running" ]
cp -a "$D" "$T/whole"

# ---- damage -----------------------------------------------------------------
up
post AQ one 100 >"$T/null"
post Bw five 300 >"$T/null"
down KILL
cp -a "$D" "$T/killed"
again() { # FROM: the folder as it was
    rm -rf "$D"
    cp -a "$T/$1" "$D"
}
aside() { find "$D" -name 'locks.db.damaged-*' ! -name '*-wal' ! -name '*-shm' | wc -l; }
damaged() { # TEXT LONGEST: a start on it grants nothing, for that long
    up
    like "$1: said" "$(cat "$T/log")" "damaged: .*no locks are granted for $2 s"
    is "$1: nothing is granted, nobody is told that it is held" \
        "$(post AQ rival 1)$(post AQ one 1)$(post zA free 1)" "503503503"
    damaged_left=$(head_of Retry-After)
    ok "$1: Retry-After, ${damaged_left:-none}" \
        within $(($2 - 60)) "${damaged_left:-0}" $(($2 + 1))
    is "$1: /healthz" "$(web -o "$T/body" -w '%{http_code}' http://x/healthz)" 503
    like "$1: /metrics" "$(web http://x/metrics)" '^justalock_quiet 1$'
    down KILL
    up
    like "$1: a restart does not forget it" "$(cat "$T/log")" \
        "no locks are granted for $2 s"
    is "$1: nor grant" "$(post AQ one 1)" 503
    down
}
again killed
dd if=/dev/zero of="$D/locks.db" bs=16 count=1 conv=notrunc 2>"$T/null"
rm -f "$D/locks.db-wal"
damaged "no log where there was one" 300
is "the old database is kept" "$(aside)" 1
again whole
dd if=/dev/zero of="$D/locks.db" bs=16 count=1 conv=notrunc 2>"$T/null"
damaged "a database without its head" 200
is "it is kept too" "$(aside)" 1
again whole
size=$(stat -c %s "$D/locks.db")
pages=$((size / 4096))
for n in $(seq 1 $((pages - 1))); do
    again whole
    dd if=/dev/urandom of="$D/locks.db" bs=4096 seek="$n" count=1 conv=notrunc \
        2>"$T/null"
    up
    like "page $n of $pages overwritten: seen" "$(cat "$T/log")" 'damaged: '
    is "page $n of $pages overwritten: 503" "$(post AQ rival 1)" 503
    down
done
for cut in 1 100 512 4095 4096 $((size / 2)) $((size - 4096)) $((size - 1)); do
    again whole
    truncate -s "$cut" "$D/locks.db"
    up
    like "cut to $cut of $size bytes: seen" "$(cat "$T/log")" 'damaged: '
    is "cut to $cut of $size bytes: 503" "$(post AQ rival 1)" 503
    down
done
again whole
: >"$D/locks.db"
damaged "an empty database" 200
again whole
rm "$D/locks.db"
damaged "no database" 200
again whole
rm "$D/locks.db" "$D/mark"
: >"$D/running"
damaged "nothing but a sign that a server ran" 65535
again whole
rm "$D/locks.db" && : >"$D/mark"
damaged "no database, and an empty mark" 65535
again whole
rm "$D/locks.db"*
sqlite3 "$D/locks.db" 'CREATE TABLE mine(x)'
damaged "a foreign SQLite file" 200
rm -rf "$D"
mkdir -m 700 "$D"
sqlite3 "$D/locks.db" 'CREATE TABLE mine(x); PRAGMA user_version=2'
damaged "a foreign one that says our version, in a new folder" 65535
again whole
echo 'not a database, but a text that is longer than a head' >"$D/locks.db"
damaged "a text" 200
again whole
sqlite3 "$D/locks.db" "UPDATE share SET life_s=0 WHERE token=1"
damaged "a lease of 0 s" 200
again whole
sqlite3 "$D/locks.db" "INSERT INTO share SELECT lock, 'more', x'61', life_s,
    label, 77, since_s, 0, slot, slots FROM share WHERE token=1"
damaged "two holders of one lock" 200
again whole
sqlite3 "$D/locks.db" "INSERT INTO share SELECT lock, 'more', x'61', life_s,
    label, 77, since_s, 0, 1, 2 FROM share WHERE token=1"
damaged "company for one who is in alone" 200
again whole
sqlite3 "$D/locks.db" 'PRAGMA user_version=3' >"$T/null"
like "another version is refused" \
    "$(refusal --listen "unix:$S" --state "$D")" '^78 .*another version'
is "and left as it is" "$(sqlite3 "$D/locks.db" 'PRAGMA user_version') $(aside)" \
    "3 0"
# After the longest lease that it may have given: it grants again.
again whole
printf 'x' >"$D/locks.db"
sed -i 's/ 200$/ 3/' "$D/mark"
up
is "damage, but of leases of 3 s: not yet" "$(post AQ rival 1)" 503
healthy() { [ "$(web http://x/healthz)" = ok ]; }
ok "then it grants again" wait_for 20 healthy
like "with a token far beyond all before" "$(post AQ rival 10)" '^200 new [0-9]{12,}$'
down
up
like "and after a restart still" "$(post AQ rival 10)" '^200 renewed'
down

# ---- a full disk, a folder that cannot be written ----------------------------
rm -rf "$D"
mkdir -m 700 "$D"
mount -t tmpfs -o size=256k,mode=700 tmpfs "$D"
up
is "on a small disk" "$(post AQ one 100)" "200 new 1"
dd if=/dev/zero of="$D/fill" bs=4096 2>"$T/null"
truncate -s -40k "$D/fill"
n=0
while [ $n -lt 50 ] && post zA "f$n" 100 -X DELETE | grep -q 409; do
    n=$((n + 1))
done
ok "it fills up, after $n changes" within 1 $n 49
is "full: nothing more is granted" "$(post zQ two 100)" 503
is "full: Retry-After" "$(head_of Retry-After)" 1
is "full: what is held is refreshed" "$(post AQ one 100)" "200 renewed 1"
is "full: a rival is refused" "$(post AQ rival 100)" 409
is "full: no longer lease" "$(post AQ one 200)" 503
is "full: no release" "$(post AQ one 100 -X DELETE)" 503
is "full: and it is still held" "$(post AQ one 100)" "200 renewed 1"
is "full: said once, not for each request" "$(grep -c 'error:' "$T/log")" 1
rm "$D/fill"
granted() { [ "$(post zQ two 100 | cut -c 1-7)" = "200 new" ]; }
ok "room again: it grants" wait_for 20 granted
is "what it refused was not half done" \
    "$(view AQ '.expires_ms <= 100000') $(view zA .held)" "true false"
down KILL
up
is "killed then: nothing is lost" "$(post AQ one 100)" "200 renewed 1"
kept=0
while [ $kept -lt $n ] && [ "$(post zA "f$kept" 100)" = 409 ]; do
    kept=$((kept + 1))
done
is "each release that was answered while it filled up is remembered" $kept $n
down KILL
mount -o remount,ro "$D"
like "read-only: it does not start" \
    "$(refusal --listen "unix:$S" --state "$D")" '^1 .*[Rr]ead-only'
mount -o remount,rw "$D"
up
is "writable again: nothing was lost" "$(post AQ one 100)" "200 renewed 1"
down
umount "$D"

# ---- folders and options that are refused --------------------------------------
chmod 770 "$D"
like "a folder that others may write to" \
    "$(refusal --listen "unix:$S" --state "$D")" '^78 .*others may write.*0770'
: >"$T/file"
like "a file" "$(refusal --listen "unix:$S" --state "$T/file")" '^78 .*not a folder'
like "a folder in none" "$(refusal --listen "unix:$S" --state "$T/no/no")" \
    '^1 .*No such file'
like "no --state" "$(refusal --listen "unix:$S")" '^64 .*--state DIR is missing'
like "no --listen" "$(refusal --state "$T/x")" '^64 .*--listen is missing'
like "an argument too many" \
    "$(refusal --listen "unix:$S" --state "$T/x" more)" '^64 .*more: not an option'
like "no such option" "$(refusal --nope)" '^64 .*nope'
like "an option without its value" "$(refusal --listen)" '^64 .*listen'
set --
for n in $(seq 17); do
    set -- "$@" --listen "unix:$T/l$n"
done
like "17 sockets" "$(refusal --state "$T/x" "$@")" '^64 .*at most 16'
for a in 0.0.0.0:0 '[::]:0' 192.0.2.1:0 '[2001:db8::1]:0' 128.0.0.1:0 \
    '[::ffff:192.0.2.1]:0'; do
    like "$a is beyond this host" "$(refusal --state "$T/x" --listen "$a")" \
        '^78 .*not a loopback address; TLS and a list of clients'
done
for a in nowhere 127.0.0.1 127.0.0.1: 127.0.0.1:x 127.0.0.1:65536 \
    127.0.0.1:-1 :7171 '[::1:7171' unix: unix:x "unix:/$(printf '%0200d' 0)"; do
    like "$a is no address" "$(refusal --state "$T/x" --listen "$a")" \
        '^64 .*--listen '
done
is "none of these made a folder" "$(find "$T/x" "$T/other.d" 2>/dev/null)" ""
"$B/bin/justalock-server" --help >"$T/help"
is "--help: status" $? 0
for o in $(grep -oE -- '--[a-z]+' "$T/help" | sort -u); do
    ok "the manual knows $o" grep -q "Fl $(printf %s "${o#-}")\|Fl -help | -version" \
        modules/server/justalock-server.8
done
tap_done
