/* SPDX-License-Identifier: MIT */
/*
 * own_home.h - a test program that runs from a folder of its own, so that what
 * is started by its place beside it (agent_exec, keeper_wire_spawn) is what
 * the test puts there.
 */
#ifndef TESTS_LIB_OWN_HOME_H
#define TESTS_LIB_OWN_HOME_H

/* To be called first: runs once more from HOME/bin/NAME, and returns there. */
void own_home_enter(char **argv);
/* HOME/libexec/justalock/justalock-keeper is `program` from here on; NULL:
 * there is none; "": the keeper that was built. */
void own_home_keeper(const char *program);
void own_home_leave(void); /* and remove it */

#endif
