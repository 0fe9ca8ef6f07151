#!/bin/sh
# SPDX-License-Identifier: MIT
#
# faults_step.sh on nodes where neither Slurm nor the agent has cgroups: work
# is found by its process tree and SLURM_JOB_ID.

# shellcheck disable=SC2034 # for slurm-site.sh
SITE_CGROUP=/nonexistent/justalock
. tests/slurm/faults_step.sh
