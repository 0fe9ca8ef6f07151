/* SPDX-License-Identifier: MIT */
/*
 * doctor.h - looks at what is around the configuration: the secret, the
 * agent, Slurm's plugstack.conf and PrologFlags, pam.d.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_ERROR };

struct doctor {
    bool json;
    unsigned warnings, errors;
    bool is_short; /* something is missing: no memory */
};

/* One finding, to stdout: "error: agent: text", or a JSON object a line. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *what,
                const char *fmt, ...) PRINTF_LIKE(4, 5);
void doctor_look(struct doctor *d, const struct config *c, const char *socket);

#endif
