#!/bin/sh
# SPDX-License-Identifier: MIT
#
# All of it built with AddressSanitizer and UndefinedBehaviorSanitizer, and the
# unit tests of that build.

. tests/lib/sanitizers.sh
with_asan
under_asan "$A"/tests/unit/test_*
tap_done
