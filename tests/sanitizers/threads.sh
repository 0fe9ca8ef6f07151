#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library with ThreadSanitizer.

. tests/lib/sanitizers.sh
N=$B/tsan
ok "the library built with TSan" make -s -j2 B="$N" SAN=thread \
    "$N/tests/unit/test_lock" "$N/tests/unit/test_lock_waits" \
    "$N/tests/unit/test_lock_process" "$N/tests/examples/api" "$N/bin/justalock-server"
export TSAN_OPTIONS="log_path=$R/report.tsan:exitcode=66"
for t in test_lock test_lock_waits test_lock_process; do
    B=$N NO_FORK=1 ONLY_API=1 quiet "TSan: $t" "$N/tests/unit/$t"
done
B=$N NO_FORK=1 ONLY_API=1 quiet "TSan: examples" tests/examples/lock.sh
tap_done
