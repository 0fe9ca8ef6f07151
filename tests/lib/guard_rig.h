/* SPDX-License-Identifier: MIT */
/*
 * guard_rig.h - a guard in the test's own process, with a real table and
 * records in a folder in memory, a real socket for modules and a real one for
 * its keeper, which the test plays, as it plays the watch. The test turns its
 * loop. One guard a program.
 */
#ifndef TESTS_LIB_GUARD_RIG_H
#define TESTS_LIB_GUARD_RIG_H

#include "../../modules/agent/guard.h"

struct rig {
    struct guard g;
    struct agent_options o;
    char folder[64]; /* the state is in its "state" */
    char state[80], config[80], path[80];
    int keeper_listener;
    int keeper;                   /* our end; -1: none */
    void (*around)(bool is_ours); /* code of the test runs, or the guard's */
};
extern struct rig rig;

/* As cmocka's setup and teardown of one test. */
int rig_guard_up(void **state);
int rig_guard_down(void **state);
#define RIG_RUN(tests)                                                         \
    (rig_is_possible() ? cmocka_run_group_tests((tests), NULL, NULL) : 0)
bool rig_is_possible(void); /* we are root; says so where we are not */
#define RIG_TEST(fn)                                                           \
    cmocka_unit_test_setup_teardown(fn, rig_guard_up, rig_guard_down)

/* Turn the loop until nothing is left to do. */
void rig_turn(void);
/* Write this configuration and let the guard read it: members beside
 * "service", "secret_file" and "agent", which says that there are no cgroups:
 * a test must not find itself in the place of a work. */
void rig_config(const char *members);
/* What is in a file of the folder "state"; false: there is none. */
bool rig_has_file(const char *name);
/* Is there a record of the work, which reads as this state? */
bool rig_is_recorded(uint64_t number, enum work_state state);

/* ---- modules ---- */
int rig_dial(void); /* a connection to the guard */
int rig_dial_as(uint32_t uid);
struct wire_msg *rig_job(enum wire_type type, uint32_t job_id,
                         const char *locks); /* to be changed and sent */
struct wire_msg *rig_command(const char *locks);
struct wire_msg *rig_session(const char *lock);
void rig_say(int fd, const struct wire_msg *m);
/* rig_dial and rig_say. */
int rig_request(const struct wire_msg *m);
/* The next answer that is no note, having turned the loop; fails where none
 * comes. */
const struct wire_msg *rig_answer(int fd);
/* That it is a verdict, and its text holds `part`. */
void rig_expect(int fd, enum wire_verdict verdict, const char *part);
bool rig_is_silent(int fd);

/* ---- the keeper ---- */
/* Connect, with nothing kept. */
void rig_keeper(void);
void rig_keeper_connect(void); /* no word yet */
void rig_keeper_gone(void);
void rig_keeper_says(const struct keeper_msg *m);
/* The next request, pings left out; fails where none comes. */
const struct keeper_msg *rig_asked(enum keeper_wire_type type);
bool rig_is_asked_nothing(void);
/* An event of this lock, and the loop is turned. */
void rig_event(uint64_t handle, enum keeper_event_kind kind,
               enum justalock_status status, const char *text);
/* GRANTED to whatever is asked for, its t0 so long ago. */
uint64_t rig_grant(int64_t ago_ms);
/* rig_request; its one lock granted, "go" heard. */
int rig_hold(const struct wire_msg *m);
/* The keeper is asked to give `locks` back, and does. */
void rig_give_back(size_t locks);
/* As the watch does: the work's row to this state, and word of it. */
void rig_row(struct work *w, enum row_state state);

/* ---- time, processes ---- */
/* What the guard does with the clock so much later. */
void rig_tick(int64_t later_ms);
struct work *rig_work(void); /* the only one; NULL: none */
/* A child that sleeps until rig_guard_down; job_id != 0: of that job of uid. */
pid_t rig_process(uint32_t job_id, uint32_t uid);
void rig_kill(pid_t pid);
/* A `scontrol` that is this shell script; in front of the others. */
void rig_scontrol(const char *script);
/* Turn the loop until the guard's children have answered. */
void rig_children(void);

#endif
