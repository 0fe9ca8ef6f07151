#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Which lines of common/, modules/agent and modules/server the tests run: builds
# with gcov's counters in $B/cov, runs all unit tests and the shell tests of
# agent, server and command line, and prints a table, the least first. Exit 1
# below COV_MIN percent in any of them.
#
# Daemons that are killed have written what they counted a moment before
# (tests/lib/cov.c); what one did in its last tenth of a second is missing.
# The keeper writes nothing in its jail: keeper_main and keeper_jail are left
# out of what must reach COV_MIN, and shown.
#   COV_TESTS="PROGRAM..."  other tests; a folder of tests/ ("unit", "agent")
#                           stands for all in it
#   COV_PARTS="FOLDER..."   other sources than those three

set -u
B=${B:-build}/cov
unset MAKEFLAGS MFLAGS MAKELEVEL
mkdir -p "$B"
find "$B" -name '*.gcda' -exec rm {} +
${CC:-cc} -O0 -g -fPIC -D_GNU_SOURCE -c -o "$B/cov.o" tests/lib/cov.c || exit 1
make -s -j2 B="$B" FAULT=--coverage CFLAGS='-O0 -g' LDFLAGS="$B/cov.o -Wl,--wrap=_exit" \
    all unit programs >"$B/build.log" 2>&1 || {
    cat "$B/build.log"
    exit 1
}
# Users write there too, and what a test cannot write is not counted. No umask
# of 0: what others may write to is refused where it matters.
find "$B/obj" -type d -exec chmod a+rwx {} +
while sleep 1; do
    find "$B/obj" -name '*.gcda' ! -perm -o+w -exec chmod a+rw {} +
done &
opener=$!
trap 'kill $opener' EXIT
trap 'exit 143' INT TERM
all_of() { # FOLDER of tests/, or a program
    case $1 in
    unit) find "$B/tests/unit" -type f -perm -u+x ;;
    */*) echo "$1" ;;
    *) find "tests/$1" -name '*.sh' ;;
    esac | LC_ALL=C sort
}
COV_TESTS=$(for t in ${COV_TESTS:-unit agent server cli pam}; do all_of "$t"; done)
# shellcheck disable=SC2086
(
    export B
    TEST_TIMEOUT=300 tests/lib/run-tests $COV_TESTS
) 2>&1 | grep -v '^profiling:'
echo
python3 - "$B" "${COV_MIN:-90}" ${COV_PARTS:-common modules/agent modules/server} <<'END'
import collections, glob, json, os, subprocess, sys

root, least, parts = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
lines = collections.defaultdict(dict)
for part in parts:
    for notes in sorted(glob.glob("%s/obj/%s/*.gcno" % (root, part))):
        out = subprocess.run(["gcov", "--json-format", "--stdout", notes],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             check=True).stdout
        for f in json.loads(out)["files"]:
            if os.path.dirname(f["file"]) != part:
                continue  # headers of others
            for l in f["lines"]:
                n = l["line_number"]
                lines[f["file"]][n] = lines[f["file"]].get(n, 0) + l["count"]

def share(files):
    all_of = sum(len(lines[f]) for f in files)
    run = sum(1 for f in files for n in lines[f].values() if n > 0)
    return all_of, run, 100.0 * run / all_of if all_of else 0.0

print("%-36s %6s %6s %7s  %s" % ("file", "lines", "run", "", "not run"))
bad = False
for f in sorted(lines, key=lambda f: share([f])[2]):
    missing = sorted(n for n, c in lines[f].items() if c == 0)
    text = " ".join(map(str, missing[:12])) + (" ..." if missing[12:] else "")
    print("%-36s %6d %6d %6.1f%%  %s" % ((f,) + share([f]) + (text,)))
for part in parts:
    s = share([f for f in lines if os.path.dirname(f) == part and
               not f.startswith("modules/agent/keeper_")])
    bad |= s[2] < least
    print("%-36s %6d %6d %6.1f%%" % ((part,) + s))
print("%-36s %6d %6d %6.1f%%" % (("all",) + share(list(lines))))
sys.exit(bad)
END
