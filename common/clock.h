/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the time that leases are counted in.
 *
 * CLOCK_BOOTTIME counts through suspend but is slewed by NTP (up to 8 %);
 * CLOCK_MONOTONIC_RAW is not slewed but stops in suspend, so we add to it the
 * time asleep (BOOTTIME - MONOTONIC): else a lease of which a part was slept
 * and a part slewed would be counted short by both. A holder must never
 * believe longer than the service does, so a point in time is a reading of
 * both, time gone by is the larger of the two, time left the smaller. Readings
 * are comparable between the processes of one boot of one machine.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock_time {
    int64_t boot_ms; /* CLOCK_BOOTTIME, milliseconds */
    int64_t raw_ms;  /* CLOCK_MONOTONIC_RAW and the time asleep, ms */
};

struct clock_time clock_now(void);

/* t plus ms (may be negative) on both clocks. */
struct clock_time clock_add(struct clock_time t, int64_t ms);

/* Milliseconds that have gone by since `from`: the larger of both clocks. */
int64_t clock_elapsed_ms(struct clock_time from, struct clock_time now);

/* Milliseconds until `deadline`: the smaller of both clocks; <= 0: reached. */
int64_t clock_left_ms(struct clock_time deadline, struct clock_time now);

/* The earlier of two deadlines, clock by clock. */
struct clock_time clock_min(struct clock_time a, struct clock_time b);

/* A deadline that is never reached. */
struct clock_time clock_never(void);
bool clock_is_never(struct clock_time t);

/* CLOCK_MONOTONIC_RAW in milliseconds: the server's own lease clock. */
int64_t clock_raw_ms(void);

/* Seconds since 1970: for labels and logs only, never for leases. */
int64_t clock_wall_s(void);

/* The kernel's boot id, 36 characters and NUL; "" where it can't be read. */
void clock_boot_id(char ret_id[37]);

#endif
