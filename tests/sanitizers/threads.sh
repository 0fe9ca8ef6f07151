#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library with ThreadSanitizer.

. tests/lib/sanitizers.sh
N=$B/tsan
ok "the library built with TSan" make -s -j2 B="$N" SAN=thread \
    "$N/tests/unit/test_lock" "$N/tests/examples/api" "$N/bin/justalock-server"
export TSAN_OPTIONS="log_path=$R/report.tsan:exitcode=66"
B=$N NO_FORK=1 ONLY_API=1 quiet "TSan: test_lock" "$N/tests/unit/test_lock"
B=$N NO_FORK=1 ONLY_API=1 quiet "TSan: examples" tests/examples/lock.sh
tap_done
