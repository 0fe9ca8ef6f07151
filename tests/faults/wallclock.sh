#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The wall clock jumps by years, there and back, for every part (a library in
# each of them answers CLOCK_REALTIME from a file): nothing that is held is
# lost, refreshed later or ended, none of it outlives its lease, and the
# server's leases are as long as ever. Then by the source: who reads that
# clock at all, and what for.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

J=$B/bin/justalock
cat >"$T/jump.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
/* Seconds to add, as the file JUMP says now. */
static long jump(void)
{
    const char *path = getenv("JUMP");
    char text[32] = "";
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof(text) - 1) < 0)
        text[0] = '\0';
    close(fd);
    return strtol(text, NULL, 10);
}
int clock_gettime(clockid_t which, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, which, ts);

    if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        ts->tv_sec += jump();
    return rc;
}
time_t time(time_t *ret)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec;
    return ts.tv_sec;
}
int gettimeofday(struct timeval *tv, void *tz)
{
    struct timespec ts;

    (void)tz;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}
END
if "${CC:-cc}" -shared -fPIC -O1 -o "$T/jump.so" "$T/jump.c" 2>"$T/cc.log"; then
    export JUMP="$T/jump"
    jump_to() { echo "$1" >"$JUMP.new" && mv "$JUMP.new" "$JUMP"; }
    jump_to 0
    agent_conf '"lifetime": 6'
    ticks
    LD_PRELOAD=$T/jump.so
    export LD_PRELOAD
    service_start
    agent_start
    "$J" run --socket /run/agent.sock a env -u LD_PRELOAD "$T/ticks" "$T/a.ticks" \
        2>"$T/a.err" &
    one=$!
    "$J" run --config "$T/conf.json" -t 6 b env -u LD_PRELOAD "$T/ticks" \
        "$T/b.ticks" 2>"$T/b.err" &
    two=$!
    unset LD_PRELOAD
    works() { is_ticking "$T/a.ticks" && is_ticking "$T/b.ticks"; }
    ok "two hold, one with an agent, one without" wait_for 20 works
    for by in 100000000 -900000000 3600 -3600 0; do
        jump_to $by
        is "a jump by $by s: the server's own clock is there" \
            "$(curl -s --unix-socket "$T/srv.sock" -D - -o "$T/page" http://x/healthz |
                sed -n 's/^Date: //p' | tr -d '\r' | xargs -I{} date -d {} +%s |
                awk -v n="$(date +%s)" -v b=$by '{ d = $1 - n - b; print (d > -5 && d < 5) }')" 1
        sleep 2.5 # more than a refresh
        ok "a jump by $by s: both work on" wait_for 2 works
        left=$("$J" status --config "$T/conf.json" --json b | jq .expires_ms)
        ok "a jump by $by s: a lease is as long as ever ($left ms)" \
            [ "$left" -gt 2500 ] && [ "$left" -le 6000 ]
    done
    at=$(now_ms)
    end=$((at + $("$J" status --config "$T/conf.json" --json a | jq .expires_ms)))
    service_cut
    jump_to -100000000
    none() { ! is_ticking "$T/a.ticks" && ! is_ticking "$T/b.ticks"; }
    ok "cut off, and a jump back: the work ends" wait_for 20 none
    ok "cut off, and a jump back: before the lease does" \
        [ "$(last_tick "$T/a.ticks")" -lt "$end" ]
    wait $one $two
    service_back
else
    skip "the wall clock jumps" "no compiler"
fi
# clock_wall_s is for what people read; the seed of a client id is no time.
is "CLOCK_REALTIME is read at two places" \
    "$(grep -rlE 'CLOCK_REALTIME|gettimeofday\(|[^_a-z]time\(NULL' common modules |
        grep -v keeper_jail | sort | tr '\n' ' ')" "common/clock.c common/id.c "
is "and no lease is reckoned with it" \
    "$(grep -lE 'clock_wall_' common/lease.c common/keeper*.c \
        modules/agent/watch*.c modules/agent/deadlines.c modules/server/table*.c \
        modules/cli/front.c modules/cli/back*.c modules/cli/hold.c modules/cli/page.c)" ""
tap_done
