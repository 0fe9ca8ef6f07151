#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A handful of the bugs of tests/mutants/list, one of each part, as proof that
# the tests still see them. All of them: make mutants.

exec tests/mutants/run lease-from-answer late-answer watch-late-kill \
    extend-ending no-tombstones offered-to-gone restart-forgets smuggled \
    pid-reused
