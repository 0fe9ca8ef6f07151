#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The last part of make bench: a Slurm job from its submission to its end, by
# srun on a private Slurm: without the plugin, with it and no lock, with a
# lock that nobody else wants. The three take turns, as timeit.c does. Adds
# its rows to $B/bench.md.

set -u
. tests/lib/tap.sh
. tests/lib/slurm.sh
slurm_private "$0" "$@"
ROUNDS=${ROUNDS:-7}
[ -d "$B/tests/bench" ] || exit 1
PLUGSTACK_ARGS=
export JUSTALOCK_URL="unix:$T/server.sock"

"$B/bin/justalock-server" --listen "$JUSTALOCK_URL" --state "$T/server" \
    >"$T/log/server" 2>&1 &
failed() {
    echo "| Slurm | failed | - | - | - |" >>"$B/bench.md"
    exit 1
}
slurm_start || failed
for n in n1 n2; do
    [ -e "$T/etc/secret" ] || head -c 64 /dev/urandom >"$T/etc/secret"
    chmod 600 "$T/etc/secret"
    cat >"$T/etc/$n.json" <<END
{
    "service": { "url": "$JUSTALOCK_URL" },
    "secret_file": "$T/etc/secret",
    "slurm": { "cluster": "bench" }
}
END
    on $n "$B/bin/justalock-agent" --config "$T/etc/$n.json" \
        2>"$T/log/agent-$n" &
    wait_for 10 on $n "$B/bin/justalock" list >/dev/null 2>&1 || {
        cat "$T/log/agent-$n" >&2
        failed
    }
done

# Which plugins there are is read anew by each srun and slurmstepd.
: >"$T/etc/plugstack.without"
cp "$T/etc/plugstack.conf" "$T/etc/plugstack.with"
cat >"$T/job" <<END
#!/bin/sh
cp "$T/etc/plugstack.\$1" "$T/etc/plugstack.conf"
shift
exec setpriv --reuid=alice --regid=alice --init-groups \\
    env HOME=/nonexistent srun --quiet -n 1 "\$@"
END
chmod 755 "$T/job"
# What is measured as a job with a lock must have one, the others none.
# shellcheck disable=SC2016
has_lock='test "${JUSTALOCK_LOCK:-}" = bench-lock'
if ! "$T/job" with --lock=bench-lock sh -c "$has_lock" ||
    "$T/job" with sh -c "$has_lock" 2>/dev/null ||
    "$T/job" without sh -c "$has_lock" 2>/dev/null; then
    echo "bench: slurm: the lock is not where it should be" >&2
    tail -n 5 "$T"/log/* >&2
    failed
fi
echo "bench: slurm: $ROUNDS rounds of 5 jobs each" >&2
"$B/tests/bench/timeit" "$ROUNDS" 5 \
    lock "$T/job" with --lock=bench-lock true , \
    plugin "$T/job" with true , \
    without "$T/job" without true >"$T/times" || {
    tail -n 5 "$T"/log/* >&2
    failed
}
show() { awk -v n="$1" -v u="$2" '$1 == n { printf "%.4g%s (%.4g..%.4g)",
    $2, u, $3, $4 }' "$T/times"; }
{
    echo "| Slurm job by srun, an uncontended lock | $(show lock ' ms')" \
        "| without the plugin $(show without ' ms')" \
        "| $(show lock/without '') | - |"
    echo "| Slurm job by srun, the plugin and no lock | $(show plugin ' ms')" \
        "| the job with a lock $(show lock ' ms')" \
        "| lock:none $(show lock/plugin '') | - |"
} >>"$B/bench.md"
exit 0
