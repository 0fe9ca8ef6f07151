#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The calls of justalock that need no service: help, versions, usage, ids,
# configuration; and that the program stays as small as it must.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
J=$B/bin/justalock
export JUSTALOCK_CONFIG="$T/conf.json"

code() { # COMMAND...: its exit status
    "$@" >"$T/out" 2>"$T/err"
    echo $?
}

is "libcurl is not loaded" "$(ldd "$J" | grep -c -e curl -e ssl)" 0
for c in run id status list release config; do
    is "$c --help: status" "$(code "$J" $c --help)" 0
    like "$c --help: text" "$(cat "$T/out")" "^usage: justalock $c "
    [ $c != config ] || is "config check --help: the same" \
        "$("$J" config check --help)" "$(cat "$T/out")"
    is "help $c: the same" "$("$J" help $c)" "$(cat "$T/out")"
    like "$c --version" "$("$J" $c --version)" '^justalock [0-9]+\.[0-9]+\.[0-9]+$'
    for o in $(grep -oE -- '[ [(]--[a-z-]+' "$T/out" | tr -d ' [('); do
        ok "the manual knows $c $o" grep -q "Fl $(printf %s "${o#-}")" \
            modules/cli/justalock.1
    done
done
like "--help" "$("$J" --help)" '^usage: justalock COMMAND'
is "no command" "$(code "$J")" 64
is "no such command" "$(code "$J" nope)" 64
like "no such command: named" "$(cat "$T/err")" 'there is no command "nope"'

for call in "run" "run x" "run -n -w 1s x true" "run -w 5x x true" \
    "run -t 0 x true" "run -t 65536 x true" "run -t 500ms x true" \
    "run -E 256 x true" "run --on-lost no x true" "run --nope x true" \
    "run --on-lost signal:NOPE x true" "run --url ftp://x/ x true" \
    "run x -n true" "run x -c true" "run x --" "run --url http://h:70000/ x true" "status --url http://h/?q x" \
    "status" "status a b" "list x" "release" "config" "config nope" "id"; do
    # shellcheck disable=SC2086
    is "usage: $call" "$(code "$J" $call)" 64
    like "usage: $call: said in plain lines" "$(cat "$T/err")" '^justalock: '
done
like "an option after the name: what is meant" \
    "$("$J" run x -c 'echo y' 2>&1)" 'options stand before the name.* sh -c LINE'
is "a command that begins with -" \
    "$(code "$J" run --no-agent --url unix:/nowhere/s -n x -- -c)" 69
is "a name with a control character" \
    "$(code "$J" run --no-agent "$(printf 'a\tb')" true)" 64
is "a label too long" \
    "$(code "$J" run --label "$(printf '%0121d' 0)" x true)" 64
is "a client id too long" \
    "$(code "$J" run --client-id "$(printf '%065d' 0)" x true)" 64

# A fault of the configuration is told once, with its place.
echo '{"nope": 1}' >"$T/wrong.json"
for call in "run --config $T/wrong.json x true" "id --config $T/wrong.json x" \
    "config show --config $T/wrong.json" "config locks --config $T/wrong.json"; do
    # shellcheck disable=SC2086
    is "wrong configuration: ${call%% --*}" "$(code "$J" $call)" 78
    is "wrong configuration: ${call%% --*}: said once" \
        "$(grep -c 'wrong.json:1:2:.* nope: unknown key' "$T/err") \
$(grep -c 'unknown key' "$T/err")" "1 1"
    like "wrong configuration: ${call%% --*}: by whom" "$(tail -n 1 "$T/err")" \
        '^justalock: the configuration cannot be used'
done

# Each id that the Python client makes of a text, and each that it cannot.
bad=0 n=0
while IFS= read -r line; do
    in=${line#*'"in": "'}
    in=${in%%'", "'*}
    case $line in
    *'"path": "'*)
        want=${line##*'"path": "'}
        want=${want%'"}'}
        got=$("$J" id -- "$in" 2>/dev/null)
        ;;
    *)
        want=64
        got=$(code "$J" id -- "$in")
        ;;
    esac
    n=$((n + 1))
    [ "$got" = "$want" ] || {
        bad=$((bad + 1))
        echo "# id of '$in': got $got, want $want"
    }
done <<END
$(grep '"kind": "str"' tests/vectors/lock-ids.jsonl)
END
is "the ids of $n texts are the Python client's" "$n $bad" "92 0"
is "several ids in one call" "$("$J" id a b | wc -l)" 2
like "why a text has no id" "$("$J" id nightly-backup-job-001 2>&1)" '14 bytes'

cat >"$T/conf.json" <<END
{ "locks": { "fixed": {"id": "00112233-4455-6677-8899-aabbccddeeff"} } }
END
is "a definition's id" "$("$J" id fixed)" "ABEiM0RVZneImaq7zN3u_w"
cat >"$T/conf.json" <<END
{ "secret_file": "$T/secret", "hashed_names": true }
END
hashed=$("$J" id db-migration-lock)
like "a hashed name has another id" "$hashed" '^[A-Za-z0-9_-]{22}$'
ok "a hashed name has another id than a plain one" \
    [ "$hashed" != MuNpNHhtJBexz7XXvFYzYA ]
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
is "a secret that is not ours to read: not allowed" \
    "$(code $nobody "$J" id db-migration-lock)" 77
is "and no other lock is taken instead" \
    "$(code $nobody "$J" run -n db-migration-lock touch "$T/ran")" 77
ok "nothing ran" [ ! -e "$T/ran" ]
rm "$T/secret"
is "a missing secret: the same" "$(code "$J" id db-migration-lock)" 77

printf '{ "locks": { "scratch": {"lifetime": 0} } }\n' >"$T/conf.json"
is "a wrong configuration" "$(code "$J" run x true)" 78
like "is said with its place" "$(cat "$T/err")" \
    'conf.json:1:[0-9]+: error: locks.scratch.lifetime: 0 is not within'
is "config show refuses it" "$(code "$J" config show)" 78
is "config check refuses it" "$(code "$J" config check)" 78
is "a configuration that is not there" \
    "$(code "$J" run --config "$T/none.json" x true)" 78
agent_conf '"lifetime": 90'
is "config show --json" \
    "$("$J" config show --json | jq -r .defaults.lifetime)" 90
is "a lifetime whose times do not fit" \
    "$(printf '{"defaults": {"lifetime": 2, "grace": "5s"}}' >"$T/c2.json"
        code "$J" run --config "$T/c2.json" x true)" 78

# The doctor: no agent, no secret, Slurm played by a script.
agent_conf '"lifetime": 60'
mkdir "$T/bin"
cat >"$T/bin/scontrol" <<END
#!/bin/sh
cat <<OUT
Configuration data as of 2026-01-01T00:00:00
PlugStackConfig         = $T/plugstack.conf
PrologFlags             = Contain,X11
OUT
END
chmod 755 "$T/bin/scontrol"
echo '#nothing' >"$T/plugstack.conf"
PATH=$T/bin:$PATH
check() { "$J" config check "$@" 2>/dev/null; }
is "check: no agent is an error" "$(code "$J" config check)" 78
like "check: no agent: what to do" "$(check)" '^error: agent: .*start justalock-agent'
like "check: secret missing" "$(check)" '^error: secret: .*secret'
like "check: plugstack without the module" "$(check)" '^warning: plugstack: .*spank_justalock'
echo "optional $B/lib/spank_justalock.so" >"$T/plugstack.conf"
like "check: optional is an error" "$(check)" '^error: plugstack: .*required'
echo "required $B/lib/spank_justalock.so" >"$T/plugstack.conf"
like "check: required is right" "$(check)" '^ok: plugstack'
is "check --json: objects, one a line" \
    "$(check --json | jq -r .level | sort -u | tr '\n' ' ')" "error ok warning "
head -c 64 /dev/urandom >"$T/secret"
chmod 644 "$T/secret"
like "check: a secret that others may read" "$(check)" '^error: secret: '
chmod 600 "$T/secret"
like "check: a good secret" "$(check)" '^ok: secret: '

is "list without an agent" "$(code "$J" list)" 69
is "release at a service that is none of ours" \
    "$(code "$J" release --yes --url http://127.0.0.1:9/ x)" 77
is "release without --yes and terminal: not done" \
    "$(code "$J" release x </dev/null)" 77
is "output that cannot be written" "$("$J" id a >/dev/full 2>/dev/null
    echo $?)" 71
tap_done
