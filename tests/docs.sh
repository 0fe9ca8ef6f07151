#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the code takes, --help, the manuals, the completions, the examples and
# the JSON Schema say the same: every option, argument, key, word, exit
# status, function, header and metric. What is missing on one side fails.

set -u
. tests/lib/tap.sh
B=${B:-build}
T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-docs.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 143' INT TERM
J=$B/bin/justalock
cli=modules/cli/justalock.1

# TEXT A B: two lists, in any order, have the same members, and some.
same() {
    printf '%s\n' "$2" | sort -u >"$T/a"
    printf '%s\n' "$3" | sort -u >"$T/b"
    if [ -n "$2" ] && cmp -s "$T/a" "$T/b"; then
        tap_result 0 "$1"
    else
        tap_result 1 "$1"
        diff "$T/a" "$T/b" | sed -n 's/^< /# only there: /p; s/^> /# only here: /p'
    fi
}
words() { tr ' ' '\n' | grep .; }

# ---- what each side says ---------------------------------------------------

# Options of the tables in these sources, and their single letters.
code_options() { # FILE...
    sed -nE 's/^ *\{?\{"([a-z-]+)", (no|required)_argument.*/--\1/p' "$@" |
        grep -v -e '^--internal-' -e '^--help$' -e '^--version$'
    sed -nE 's/.*getopt_long\(argc, argv, "([+:a-zA-Z]*)".*/\1/p' "$@" |
        tr -d '+:h\n' | sed 's/./-&\n/g'
}
help_options() { # from --help on stdin
    grep -oE '(^|[][ (,|])--?[a-zA-Z][a-z-]*' | sed 's/^[^-]//' |
        grep -v -e '^--help$' -e '^--version$'
}
# Lines of a section of a manual page.
section() { # FILE NAME
    awk -v want="$2" '
        /^\.Sh / { on = $0 == ".Sh " want; next } on' "$1"
}
# "Fl n | Fl -nonblock" and "Fl \-nonblock" as options.
flags() { sed 's/\\-/-/g' | grep -oE '\<Fl -?[a-zA-Z][a-z-]*' | sed 's/^Fl /-/'; }
synopsis_options() { # FILE [SUBCOMMAND]
    section "$1" SYNOPSIS | awk -v want="${2-}" '
        /^\.Nm/ { cur = ""; next }
        /^\.Cm/ && cur == "" { cur = $2 }
        cur == want' | flags | grep -v -e '^--help$' -e '^--version$'
}
item_options() { # FILE
    grep '^\.It Fl' "$1" | flags
}
bash_options() { # NAME
    bash -c '. config/completion/justalock; _justalock_options "$1"' - "$1" |
        words | grep -v -e '^--help$' -e '^--version$'
}
zsh_options() { # NAME
    sed -n "/^    ($1)\$/,/^        \(;;\|return\)\$/p" config/completion/_justalock |
        grep -v compadd |
        sed -E "s/\{([^}]*),([^}]*)\}/'\1''\2'/g" |
        grep -oE "[*)'\"]--?[a-zA-Z][a-z-]*[+=]*('|\[)" |
        sed -E 's/^[^-]//; s/[^a-zA-Z]+$//' |
        grep -v -e '^--help$' -e '^--version$'
}
fish_options() { # PROGRAM [SUBCOMMAND]
    grep "^complete -c $1 " config/completion/justalock.fish |
        { if [ -n "${2-}" ]; then grep "__justalock_in [a-z ]*\<$2\>"; else cat; fi; } |
        sed -E 's/-[ad] .*//' | grep -oE -- '-[ls] [a-zA-Z-]+' |
        sed 's/^-l /--/; s/^-s /-/' | grep -v -e '^--help$' -e '^--version$'
}
# All sides of the options of one program or subcommand.
sides() { # TEXT CODE HELP SYNOPSIS NAME FISH...
    same "$1: --help has the code's options" "$2" "$3"
    same "$1: the manual's synopsis has them" "$2" "$4"
    same "$1: bash completes them" "$2" "$(bash_options "$5")"
    same "$1: zsh completes them" "$2" "$(zsh_options "$5")"
    shift 5
    same "${1#justalock-}${2+ $2}: fish completes them" "$code" "$(fish_options "$@")"
}
# An option that a manual describes, beyond the synopsis.
described() { # FILE OPTION
    awk '/^\.Sh / { on = $0 !~ /SYNOPSIS/ } on' "$1" | flags | grep -qx -- "$2"
}

# ---- the three programs ------------------------------------------------------

commands=$(sed -n '/ commands\[\] = {/,/};/p' modules/cli/main.c |
    grep -oE '"[a-z]+"' | tr -d '"')
same "subcommands: --help" "$commands" \
    "$("$J" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')"
same "subcommands: the manual" "$commands
help" "$(section $cli SYNOPSIS | sed -n 's/^\.Cm //p' | grep -vx -e locks -e 'check | show')"
same "subcommands: bash, help" "$(echo $commands help)" \
    "$(sed -nE 's/.*_justalock_words "" (run.*help) ;;/\1/p' config/completion/justalock)"
same "subcommands: zsh, help" "$commands
help" "$(sed -n '/commands=(/,/)$/p' config/completion/_justalock |
    sed -nE "s/^ *['\"]([a-z]+):.*/\1/p")"
same "subcommands: fish, help" "$commands
help" "$(sed -nE 's/^ *complete -c justalock -n \$at -a ([a-z]+) .*/\1/p' \
    config/completion/justalock.fish)"
for c in $commands; do
    src=modules/cli/cmd_$c.c
    [ "$c" != run ] || src=modules/cli/run.c
    code=$(code_options $src)
    synopsis=$(synopsis_options $cli "$c")
    if [ "$c" = run ]; then # there the short ones stand for the long ones
        same "run: the manual's items are its options" "$code" "$(item_options $cli)"
        synopsis="$synopsis $(sed -nE "s/^ *\{\"([a-z-]+)\", .*, '[a-zE]'\},/--\1/p" $src)"
        synopsis=$(echo "$synopsis" | words)
    fi
    sides "$c" "$code" "$("$J" "$c" --help | help_options)" "$synopsis" "$c" \
        justalock "$c"
    for o in $code; do
        ok "$c: the manual describes $o" described $cli "$o"
    done
done
same "config: its words in code and manual" \
    "$(sed -nE 's/.*strcmp\(what, "([a-z]+)"\).*/\1/p' modules/cli/cmd_config.c)" \
    "$(section $cli SYNOPSIS | sed -n 's/^\.Cm \(check.*\|locks\)/\1/p' | tr -d '|' | words)"

code=$(code_options modules/agent/main.c)
sides agent "$code" "$("$B/bin/justalock-agent" --help | help_options)" \
    "$(synopsis_options modules/agent/justalock-agent.8)" justalock-agent justalock-agent
same "agent: the manual describes its options" "$code" \
    "$(item_options modules/agent/justalock-agent.8)"
code=$(code_options modules/server/main.c)
sides server "$code" "$("$B/bin/justalock-server" --help | help_options)" \
    "$(synopsis_options modules/server/justalock-server.8)" justalock-server justalock-server
same "server: the manual describes its options" "$code" \
    "$(item_options modules/server/justalock-server.8)"

# ---- the modules -------------------------------------------------------------

code=$(sed -nE 's/.*value_of\(word, "([a-z_]+)="\).*/\1/p' modules/slurm/spank_options.c)
page=modules/slurm/spank_justalock.8
same "plugstack.conf: the error names the arguments" "$code" \
    "$(tr -d '\n' <modules/slurm/spank_options.c | grep -oE 'known are [^%]*open"' |
        grep -oE '[a-z_]+=' | tr -d =)"
same "plugstack.conf: the manual describes them" "$code" \
    "$(sed -nE 's/^\.It Cm ([a-z_]+)=.*/\1/p' $page)"
same "plugstack.conf: the manual's synopsis" "$code" \
    "$(section $page SYNOPSIS | grep -oE 'Cm [a-z_]+=' | tr -d = | cut -c 4-)"
same "plugstack.conf: the example" "$code" \
    "$(sed -nE 's/^#   ([a-z_]+)=.*/\1/p' config/plugstack.conf.d/justalock.conf)"
same "sbatch: the manual describes the options" \
    "$(sed -nE 's/^static char name_[a-z_]+\[\] = "(.*)";/\1/p' modules/slurm/spank_submit.c)" \
    "$(sed -nE 's/^\.It Fl -([a-z-]+)=.*/\1/p' $page)"

code=$(sed -nE 's/^    \{"([a-z_]+)", take_.*/\1/p; s/.*strcmp\(argv\[i\], "([a-z]+)"\).*/\1/p' \
    modules/pam/pam_options.c)
page=modules/pam/pam_justalock.8
arguments() { # "Cm key= Ns Cm a Ns | Ns Cm b": the keys
    sed 's/Ns Cm [a-z]*//g' | grep -oE 'Cm [a-z_]+' | cut -c 4-
}
same "pam.d: the manual describes the arguments" "$code" \
    "$(grep '^\.It Cm' $page | arguments)"
same "pam.d: the manual's synopsis" "$code" \
    "$(section $page SYNOPSIS | grep '^\.\(Op \)\?Cm [a-z]' | grep -v 'Cm session' | arguments)"
is "pam.d: the examples use none but these" \
    "$(grep -ohE 'pam_justalock.so.*' config/pam.d/* | words | sed 's/[:=].*//' |
        grep -v -e '^pam_justalock' -e '^#' | sort -u |
        grep -vx "$(printf '%s\n' "$code" | sed 's/.*/-e &/' | xargs | sed 's/-e / /g' |
            sed 's/^ *//; s/ \{1,\}/\\|/g')")" ""
for list in unreachable end lost share; do
    same "pam.d: on_$list's words" \
        "$(sed -nE "s/^static const char \*const $list\[\] = \{(.*), NULL\};/\1/p" \
            modules/pam/pam_options.c | tr -d '",' | words)" \
        "$(grep -E "^\.It Cm (on_)?$list=" $page | sed 's/[^=]*=//; s/Ns\|Cm\||//g' | words)"
done

# ---- the configuration -------------------------------------------------------
# That its keys are the same in code, example, schema and manual is for
# tests/unit/test_config_schema.c; here the words that a key takes.

manual_words() { # KEY: of the .Li in its item
    awk -v want=".It Cm $1" '/^\.(It|El)/ { on = $0 == want; next } on' \
        config/justalock.json.5 | sed -nE 's/^\.Li ([a-z]+)(:NAME)?( .*|$)/\1/p'
}
schema_words() { # KEY locks.additionalProperties|defaults
    jq -r ".properties.$2.properties.$1 | .. | (.enum? // empty)[]" \
        config/justalock.schema.json
}
for key in busy unreachable end share; do
    name=$key
    [ $key = share ] || name=on_$key
    code=$(sed -nE "s/^static const char \*const ${key}_words\[\] = \{(.*), NULL\};/\1/p" \
        common/config_schema.c | tr -d '",' | words)
    for of in locks.additionalProperties defaults; do
        same "$name: the schema of ${of%.*} takes the code's words" "$code" \
            "$(schema_words $name $of)"
    done
    same "$name: the manual has them" "$code" "$(manual_words $name)"
done
for c in $(sed -nE '/config_for_words/s/.*\{(.*), NULL\}.*/\1/p' common/config_value.c |
    tr -d '",'); do
    ok "for: the manual has $c" test -n "$(manual_words for | grep -x "$c")"
done

# ---- exit status ---------------------------------------------------------------

numbers() { grep -oE '\<[0-9]+\>'; }
code=$(sed -n '/^enum cli_exit/,/};/p' modules/cli/cli.h | sed -nE 's/.*= ([0-9]+).*/\1/p' |
    grep -vx 0)
same "justalock: exit codes in the manual" "$code" \
    "$(section $cli 'EXIT STATUS' | grep '^\.It' | numbers)"
same "justalock run --help: exit codes" "$code" \
    "$("$J" run --help | sed -n '/^Exit codes/,/^the command cannot/p' | numbers)"
code=$(grep -hoE '#define EXIT_[A-Z]+ +[0-9]+' modules/agent/main.c modules/agent/guard.c \
    modules/agent/watch.c | grep -oE '[0-9]+$')
same "agent: exit codes in the manual" "$code" \
    "$(section modules/agent/justalock-agent.8 'EXIT STATUS' | grep '^\.It' | numbers |
        grep -vx 0)"
code=$(sed -n '/^enum { EXIT_OK/p' modules/server/main.c | numbers)
same "server: exit codes in the manual" "$code" \
    "$(section modules/server/justalock-server.8 'EXIT STATUS' | grep '^\.It' | numbers)"

# ---- the environment -------------------------------------------------------------

code=$(cat modules/cli/*.c | grep -oE '(getenv|has_env|put_env)\("JUSTALOCK_[A-Z]+"|env_or\([a-z]+, "JUSTALOCK_[A-Z]+' |
    grep -oE 'JUSTALOCK_[A-Z]+')
same "justalock: the manual has the environment" "$code" \
    "$(section $cli ENVIRONMENT | sed -n 's/^\.It Ev //p')"
same "justalock --help has what it reads" \
    "$(cat modules/cli/*.c | grep -oE '(getenv\(|env_or\([a-z]+, )"JUSTALOCK_[A-Z]+' |
        grep -oE 'JUSTALOCK_[A-Z]+')" \
    "$("$J" --help | grep -oE 'JUSTALOCK_[A-Z]+')"
for page in modules/slurm/spank_justalock.8 modules/pam/pam_justalock.8; do
    same "$page: what the work sees" \
        "$(grep -ohE '"JUSTALOCK_[A-Z]+"' "${page%/*}"/*.c | tr -d '"')" \
        "$(grep -oE 'JUSTALOCK_[A-Z]+' $page)"
done

# ---- the library -----------------------------------------------------------------

code=$(${CC:-gcc} -fpreprocessed -dD -E -P common/justalock.h 2>/dev/null |
    sed -n '/JUSTALOCK_API/,$p' | grep -oE '\<justalock_[a-z0-9_]+\(' | tr -d '(')
page=common/justalock.3
same "library: it exports what the header declares" "$(printf '%s\n' "$code" | grep -v _fn$)" \
    "$(nm -D --defined-only "$B/lib/libjustalock.so.1" |
        sed -nE 's/.* T (justalock_[a-z0-9_]+).*/\1/p')"
same "library: the manual's synopsis" "$code" \
    "$(section $page SYNOPSIS | sed -nE 's/^\.Fn (justalock_[a-z0-9_]+).*/\1/p')"
same "library: the manual describes each function" "$code" \
    "$(section $page DESCRIPTION | sed -n '/^\.It Fn/p' | grep -oE 'justalock_[a-z0-9_]+')"
same "library: the manual has each status" \
    "$(sed -nE 's/^    (JUSTALOCK_[A-Z]+) = [0-9]+.*/\1/p' common/justalock.h)" \
    "$(section $page 'RETURN VALUES' | sed -n 's/^\.It Dv //p')"
for f in $(printf '%s\n' "$code" | grep -v _fn$); do
    cat tests/unit/*.c tests/examples/*.c | grep -q "\<$f(" || echo "$f"
done >"$T/untested"
is "library: each function is called by a test" "$(cat "$T/untested")" ""

# ---- the protocol ----------------------------------------------------------------

page=common/justalock-protocol.7
headers() { grep -ohE '"Justalock-[A-Z][a-z]+' "$@" | tr -d '"'; }
same "protocol: headers of the server" \
    "$(headers modules/server/http_head.c modules/server/http_answer.c)" \
    "$(grep -oE 'Justalock-[A-Z][a-z]+' $page)"
same "protocol: headers of the service" "$(headers common/service.c)" \
    "$(grep -oE 'Justalock-[A-Z][a-z]+' $page)"
same "protocol: the features" \
    "$(sed -n 's/^#define FEATURES "\(.*\)"/\1/p' modules/server/http_answer.c | words)" \
    "$(sed -n 's/^\.Dl Justalock-Features: //p' $page | words)"
same "protocol: the members of a view" \
    "$(sed -n '/^static void add_holder/,/^void pages_lock(/p' modules/server/pages.c |
        grep -oE '\\"[a-z_]+\\":' | tr -d '\\":')" \
    "$(sed -n '/^\.Ss Views/,/^\.Ss Errors/p' $page |
        sed -n 's/^\.It Li \([a-z_]*\)$/\1/p')"
same "protocol: the codes" \
    "$(sed -n '/^static const unsigned codes/,/;/p' modules/server/pages.c | numbers |
        grep -vx 500)" \
    "$(grep -E '^\.It [0-9]+' $page | numbers)"
same "server: the manual names the metrics" \
    "$(sed -n '/^static void add_requests/,/^\/\* Text in HTML/p' modules/server/pages.c |
        grep -oE 'metric\(b, "[a-z_]+|TYPE justalock_[a-z_]+' |
        sed 's/.*[" ]//; s/^justalock_//')" \
    "$(sed -nE 's/^\.It Li justalock_([a-z_]+).*/\1/p' modules/server/justalock-server.8)"

# ---- the sentences -----------------------------------------------------------------
# The parts of each one in DIAGNOSTICS between names, numbers and quotes stand
# in texts of the code.

cat common/*.c modules/*/*.c | tr '\n' ' ' | sed 's/"  *"//g' |
    grep -oE '"([^"\\]|\\.)*"' | sed 's/\\"/"/g' >"$T/texts"
for page in modules/*/*.[1-8]; do
    section "$page" DIAGNOSTICS | sed -nE 's/^\.It Li "(.*)"$/\1/p' >"$T/sentences"
    [ -s "$T/sentences" ] || ok "$(basename "$page"): has DIAGNOSTICS" false
    while IFS= read -r line; do
        printf '%s\n' "$line" | sed -E 's/\\\(dq|\.\.\.|[0-9]+|[":;,()]/\n/g
            s/[^ ]*(\/|\*)[^ ]*/\n/g; s/processes/process\n/g
            s/\<(db-migration|scratch|root-shell|alice@n|root@n|job|guard|sh|n|x|not started|this session)\>/\n/g' |
            sed 's/^ *//; s/ *$//' | grep '.......' >"$T/parts"
        missing=$(while IFS= read -r part; do
            grep -qF -- "$part" "$T/texts" || echo "$part"
        done <"$T/parts")
        is "$(basename "$page"): $line" "$missing" ""
    done <"$T/sentences"
done

# ---- pages name pages that are there ------------------------------------------------

for page in common/*.[1-8] modules/*/*.[1-8] config/*.[1-8]; do
    for ref in $(sed -nE 's/^\.Xr (justalock[^ ]*|[a-z]*_justalock) ([1-8]).*/\1.\2/p' "$page" |
        sort -u); do
        ok "$(basename "$page"): $ref is there" \
            test -n "$(find common modules config -name "$ref")"
    done
    for s in NAME DESCRIPTION 'SEE ALSO'; do
        ok "$(basename "$page"): has $s" grep -qx "\.Sh $s" "$page"
    done
done
tap_done
