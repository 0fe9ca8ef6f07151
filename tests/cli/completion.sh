#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Completion of bash, zsh and fish, as it comes from a keyboard: each shell
# runs in a terminal of its own, gets text with tabs typed into it, and what
# it then calls is compared. Names of locks come from the configuration and
# from an agent that holds some.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
export JUSTALOCK_CONFIG="$T/conf.json" HOME="$T/home" TERM=vt100
# Without it fish leaves a folder in /tmp.
export XDG_RUNTIME_DIR="$T/run"
export LC_ALL=C.UTF-8 SHELL=/bin/sh XDG_DATA_DIRS="$T/share:/usr/share"

mkdir -p "$T/bin" "$T/home" "$T/share" /run/justalock
mkdir -m 700 "$T/run"
ln -s /run/agent.sock /run/justalock/agent.sock
ok "make install puts them where the shells look" \
    make -s B="$agent_build" DESTDIR="$T/share" datadir= install-completion
# What the shells call: the real thing where completion asks, else a record.
cat >"$T/bin/justalock" <<'END2'
#!/bin/sh
case "$1 $2" in
"config locks" | "list --names") exec "$REAL" "$@" ;;
esac
printf '[%s]' "${0##*/}" "$@" >"$ARGS.new"
mv "$ARGS.new" "$ARGS"
END2
chmod 755 "$T/bin/justalock"
ln -s justalock "$T/bin/justalock-agent"
ln -s justalock "$T/bin/justalock-server"
ln -s justalock "$T/bin/othertool"
export REAL="$B/bin/justalock" ARGS="$T/args" PATH="$T/bin:$PATH"

agent_conf '"lifetime": 10' '"hashed_names": true, "locks": {
    "db-migration": {}, "two words": {}, "night:ly=1": {},
    "jobs-only": {"for": "slurm"}, "login/%u": {"for": "pam"}}'
is "config locks" "$("$REAL" config locks | sort | xargs)" \
    "db-migration jobs-only login/%u night:ly=1 two words"
is "config locks --for" "$("$REAL" config locks --for slurm --json |
    jq -r .lock | sort | tr '\n' ' ')" "db-migration jobs-only night:ly=1 two words "
is "config locks --for nonsense" "$("$REAL" config locks --for x 2>&1 | head -n 1)" \
    'justalock: --for: "x" is none of slurm, pam, command'
service_start
agent_start
"$REAL" run --socket /run/agent.sock kept-by-us sleep 1000 &
ok "a lock is held" wait_for 20 is_held kept-by-us
is "list --names" "$("$REAL" list --names)" kept-by-us

cat >"$T/bashrc" <<END2
PS1='> '
. "$T/share/bash-completion/completions/justalock"
END2
mkdir "$T/home/.config"
cat >"$T/home/.zshrc" <<END2
PS1='> '
fpath=("$T/share/zsh/vendor-completions" \$fpath)
autoload -U compinit
compinit -u -D
END2
start() { # SHELL
    case $1 in
    bash) echo "bash --noprofile --rcfile $T/bashrc -i" ;;
    zsh) echo "zsh -i" ;;
    fish) echo "fish -i" ;;
    esac
}
called() { [ -e "$ARGS" ]; }
# Lines with \t and what is to be called when they are typed into the shell.
session() { # SHELL FILE
    n=0
    # shellcheck disable=SC2059
    while IFS='|' read -r typed want; do
        rm -f "$ARGS"
        printf "\\025$typed\n"
        wait_for 10 called
        cp "$ARGS" "$T/called.$((n += 1))"
    done <"$2" 2>/dev/null | timeout 120 script -qec "$(start "$1")" /dev/null \
        >"$T/screen" 2>&1
    n=0 bad=$tap_bad
    while IFS='|' read -r typed want; do
        n=$((n + 1))
        # zsh puts an option and its value into one word.
        is "$1: $typed" "$(sed -E 's/\[(--[a-z-]+)=/[\1][/' "$T/called.$n")" \
            "$want"
    done <"$2"
    [ "$bad" = "$tap_bad" ] || cat -v "$T/screen" | cut -c 1-300 | sed 's/^/# /'
    rm -f "$T"/called.*
}
cat >"$T/all" <<'END2'
justalock rel\t--y\tkept\t|[justalock][release][--yes][kept-by-us]
justalock run --nonb\tdb\t othert\t|[justalock][run][--nonblock][db-migration][othertool]
justalock run -w 5s --on-lost k\tni\t x|[justalock][run][-w][5s][--on-lost][kill][night:ly=1][x]
justalock run two\techo|[justalock][run][two words][echo]
justalock run job\t x|[justalock][run][job][x]
justalock status job\t|[justalock][status][jobs-only]
justalock id kept\t|[justalock][id][kept]
justalock config sh\t--fo\tsl\t|[justalock][config][show][--for][slurm]
justalock status --config /etc/hostn\tx|[justalock][status][--config][/etc/hostname][x]
justalock-agent --keep\tdaem\t|[justalock-agent][--keeper-user][daemon]
justalock-agent --conf\t/etc/hostn\t|[justalock-agent][--config][/etc/hostname]
justalock-server --verb\t|[justalock-server][--verbose]
END2
cp "$T/all" "$T/bash"
cat >>"$T/bash" <<'END2'
justalock status "two\t|[justalock][status][two words]
justalock run --on-lost=signal:T\tdb\tx|[justalock][run][--on-lost][signal:TERM][db-migration][x]
justalock id --config=/etc/hostn\tx|[justalock][id][--config][/etc/hostname][x]
justalock status jobx\033[D\t|[justalock][status][jobs-onlyx]
END2
for shell in bash zsh fish; do
    [ -e "$T/$shell" ] || cp "$T/all" "$T/$shell"
    if command -v $shell >/dev/null; then
        session $shell "$T/$shell"
    else
        skip "$shell" "$shell is not installed"
    fi
done
tap_done
