# SPDX-License-Identifier: MIT
#
# For floor.sh. Files: a list of floor/, "NAME" lines of what the objects
# import, then sources without comments (-v list=, imports= name the first two).
# Prints what the list does not allow.

function num(v, a) {
    split(v, a, ".")
    return ((a[1] * 1000 + a[2]) * 1000 + a[3]) * 1000 + a[4]
}
# libcurl's 0x075500 is 7.85.0; libmicrohttpd's 0x00097002 is 0.9.70.2.
function hexpairs(text, i, v, d) {
    text = tolower(text)
    for (i = 3; i < length(text); i += 2) {
        d = substr(text, i, 2)
        if (guard != "MHD_VERSION")
            d = (index(digits, substr(d, 1, 1)) - 1) * 16 + \
                index(digits, substr(d, 2, 1)) - 1
        v = v (v == "" ? "" : ".") d + 0
    }
    return v
}
function place() {
    return FILENAME
}
function word(w, i, best) {
    if (w !~ ("^(" words ")$"))
        return
    if (!(w in since)) {
        if (!(w in told))
            print w " (" place() ") is not in " list ": look since when it is there"
        told[w] = 1
        return
    }
    used[w] = 1
    if (since[w] == "ours" || num(since[w]) <= num(floor))
        return
    for (i = 1; i <= depth; i++)
        if (num(in_force[i]) >= num(since[w]))
            return
    late[place() ": " w " is there since " since[w] ", the floor is " floor] = \
        FILENAME SUBSEP w
}

BEGIN { digits = "0123456789abcdef" }
FILENAME == list {
    if ($1 == "floor") floor = $2
    else if ($1 == "guard") guard = $2
    else if ($1 == "words") words = $2
    else if ($1 !~ /^#/) since[$1] = $2
    next
}
FILENAME == imports { imported[$1] = 1; next }
FNR == 1 { depth = 0 }
/^ *# *include/ { next }
/^ *# *if/ {
    line = $0
    sub(/# +/, "#", line)
    split(line, f, " ")
    in_force[++depth] = "0"
    if (f[1] == "#ifndef") missing[depth] = f[2]
    else missing[depth] = ""
    if (f[1] == "#if" && guard != "" && f[2] == guard && f[3] == ">=")
        in_force[depth] = hexpairs(f[4])
    if (f[1] == "#ifndef") next
}
/^ *# *el/ { in_force[depth] = "0"; missing[depth] = "" }
/^ *# *endif/ { if (depth > 0) depth--; next }
/^ *# *define/ {
    for (i = 1; i <= depth; i++)
        if (missing[i] == $2)
            own[FILENAME, $2] = 1
}
{
    gsub(/"([^"\\]|\\.)*"/, " ")
    n = split($0, part, /[^A-Za-z0-9_]+/)
    for (p = 1; p <= n; p++)
        word(part[p])
}
END {
    for (l in late)
        if (!(late[l] in own))
            print l
    for (w in imported) { # by way of a macro: no source names it
        if (w in used || !(w in since))
            continue
        used[w] = 1
        if (since[w] != "ours" && num(since[w]) > num(floor))
            print w " is imported and there since " since[w] ", the floor is " floor
    }
    for (w in since)
        if (!(w in used))
            print w " is used no more: take it out of " list
}
