/* SPDX-License-Identifier: MIT */
/*
 * keeper_jail.h - what keeps a keeper that was taken over from harming its
 * host: no user, no capabilities, no programs, no files to write.
 */
#ifndef AGENT_KEEPER_JAIL_H
#define AGENT_KEEPER_JAIL_H

#include "error.h"

/*
 * Give up what we may: as root, become `user` (NULL: "justalock"; where there
 * is no such user, "nobody"); no new privileges, no core, no ptrace by equals;
 * room for descriptors. To be called first.
 */
enum justalock_status jail_drop(const char *user, struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * From now on only what libcurl, its name lookups and TLS need of the kernel
 * (seccomp). What is not listed fails with ENOSYS, so that libraries fall back
 * to older ways; what only an attacker would ask for ends the process.
 */
enum justalock_status jail_shut(struct justalock_error *err) JUSTALOCK_MUST;

#endif
