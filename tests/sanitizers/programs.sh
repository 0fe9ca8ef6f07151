#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The programs with AddressSanitizer and UndefinedBehaviorSanitizer, as the shell
# tests run them.
#
# The modules that Slurm and PAM load are tested by their unit tests (unit.sh), and
# plain beside the programs here: slurmstepd and sshd do not load a sanitizer's
# library.
# SANITIZE="PROGRAM...": other tests than these.

. tests/lib/sanitizers.sh
with_asan
# shellcheck disable=SC2086
under_asan ${SANITIZE:-tests/agent/jobs.sh tests/agent/rubbish.sh \
    tests/cli/agent.sh tests/cli/run.sh tests/server/requests.sh \
    tests/slurm/locks.sh tests/pam/programs.sh}
tap_done
