#!/bin/sh
# SPDX-License-Identifier: MIT
#
# config/healthcheck.sh with a played agent and scontrol: when it drains and
# resumes a node, and when it leaves it alone. Needs no Slurm.

set -u
. tests/lib/tap.sh
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

cat >"$dir/justalock" <<'END'
#!/bin/sh
echo "$*" >>"$DIR/asked"
[ "$(wc -l <"$DIR/asked")" -ge "$(cat "$DIR/answers_from")" ] || exit 69
END
cat >"$dir/scontrol" <<'END'
#!/bin/sh
case $* in
*'show node n1') cat "$DIR/node" ;;
*) printf '%s\n' "$*" >>"$DIR/updates" ;;
esac
END
chmod 755 "$dir/justalock" "$dir/scontrol"

# FROM STATE REASON: the agent answers from the FROM-th time on; prints updates
check() {
    : >"$dir/asked"
    : >"$dir/updates"
    echo "$1" >"$dir/answers_from"
    echo "NodeName=n1 Arch=x86_64 State=$2 ThreadsPerCore=1 Partitions=p $3" >"$dir/node"
    DIR=$dir JUSTALOCK=$dir/justalock SCONTROL=$dir/scontrol PAUSE=0 \
        SLURMD_NODENAME=n1 config/healthcheck.sh
    [ $? -eq 0 ] || echo "exit status is not 0"
    cat "$dir/updates"
}

ours='Reason=justalock-agent does not answer [root@2026-11-23T10:00:00]'
drain='update NodeName=n1 State=DRAIN Reason=justalock-agent does not answer'
is 'agent answers: the node is left alone' "$(check 1 IDLE '')" ''
is 'asks for the list, once' "$(cat "$dir/asked")" 'list'
is 'a restart of the agent is no failure' "$(check 3 MIXED '')" ''
is 'no agent: drained, with the reason' "$(check 9 ALLOCATED '')" "$drain"
is 'drained by us already: left' "$(check 9 IDLE+DRAIN "$ours")" ''
is 'drained by another: left' "$(check 9 IDLE+DRAIN 'Reason=disk')" ''
is 'down: left' "$(check 9 'DOWN*' 'Reason=Not responding')" ''
is 'agent is back: what we drained is resumed' "$(check 1 MIXED+DRAIN "$ours")" \
    'update NodeName=n1 State=RESUME'
is 'agent answers: what another drained stays' \
    "$(check 1 IDLE+DRAIN 'Reason=disk')" ''
tap_done
