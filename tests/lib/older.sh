# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Debian packages of an older commit of this project, for what crosses two
# versions. Source it after tests/lib/tap.sh, before node_private:
#
#   older_packages   builds them, once, into $B/older, which is then in $OLDER.
#                    Where that cannot be, a skip says why and $OLDER is empty
#                    (past node_private: so called before it, and run again).
#
# The commit is the first whose packages were tested on machines that boot;
# OLDER_COMMIT in the environment names another one, or a release.

OLDER_COMMIT=${OLDER_COMMIT:-f203c8406c0fbb3b6c68d0ac751e80c5a0b60393}

older_packages() {
    OLDER=$(cd "${B:-build}" && pwd)/older
    if [ -z "${JUSTALOCK_PRIVATE:-}" ]; then
        (
            flock 9
            : >"$OLDER.why"
            [ "$(cat "$OLDER/commit" 2>&1)" = "$OLDER_COMMIT" ] ||
                older_build >"$OLDER.why"
        ) 9>"$OLDER.lock"
    elif [ -s "$OLDER.why" ]; then
        OLDER=
        skip "packages of an older commit" "$(cat "${B:-build}/older.why")"
    fi
}

older_build() { # says why it cannot be
    rm -rf "$OLDER" "$OLDER.tree"
    mkdir "$OLDER.tree"
    if ! command -v git >"$OLDER.log" || ! [ -e .git ]; then
        echo "there is no git here, or no history"
    elif ! git archive -o "$OLDER.tar" "$OLDER_COMMIT" 2>"$OLDER.log"; then
        echo "commit $OLDER_COMMIT is not in the history here"
    elif ! tar -x -C "$OLDER.tree" -f "$OLDER.tar" ||
        ! "$OLDER.tree/packaging/build-deb" "$OLDER" >"$OLDER.log" 2>&1 9>&-; then
        echo "commit $OLDER_COMMIT does not build: see $OLDER.log"
    else
        echo "$OLDER_COMMIT" >"$OLDER/commit"
    fi
    rm -rf "$OLDER.tree" "$OLDER.tar"
}
