#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The RPM packages, built from one spec with the macros of EL9, EL8 and
# openSUSE: what is in them and what they require, installed into a tree of
# their own with their scripts, upgraded, kept from removal while in use,
# removed. rpmlint finds nothing. Built on Debian: for EL's compiler and
# libraries this says nothing.

# shellcheck disable=SC2016
set -u
. tests/lib/tap.sh
if [ -z "${JUSTALOCK_PRIVATE:-}" ]; then
    if [ "$(id -u)" != 0 ] || ! unshare --mount true 2>/dev/null; then
        skip "$0" "needs root and a mount namespace"
        tap_done
        exit
    fi
    T=$(mktemp -d "${TMPDIR:-/tmp}/justalock-rpm.XXXXXX") || exit 1
    trap 'rm -rf "$T"' EXIT
    trap 'exit 143' INT TERM
    JUSTALOCK_PRIVATE=$T unshare --mount "$0" "$@"
    exit
fi
T=$JUSTALOCK_PRIVATE
export HOME="$T" # rpm's own database of Debian is below it
spec=packaging/rpm/justalock.spec
version=$(sed -n 's/^#define JUSTALOCK_VERSION "\(.*\)"/\1/p' common/justalock.h)
names="justalock justalock-agent justalock-devel justalock-libs justalock-server
    pam_justalock slurm-spank-justalock"
quiet() { # COMMAND...: what it says is shown when it fails
    "$@" >"$T/log" 2>&1 && return
    quiet_rc=$?
    tail -n 40 "$T/log" | sed 's/^/# /'
    return $quiet_rc
}

is "the spec's version and its changelog's are that of justalock.h" \
    "$(sed -n 's/^Version: *//p' $spec; sed -n 's/^\* .* - \([0-9.]*\)-1$/\1/p' $spec | head -n 1)" \
    "$version
$version"
export B="$T" OBJECTS="$T/objects"
ok "built for EL9, EL8, openSUSE" quiet packaging/build-rpm el9 el8 suse
R=$T/rpm
rpms=$(find "$R" -name '*.rpm' ! -name '*.src.rpm' | sort)
file() { # PACKAGE [DIST]
    echo "$R/$1-$version-1${2:-}.$(uname -m).rpm"
}
for dist in .el9 .el8 ''; do
    is "${dist:-openSUSE}: seven packages and the source" \
        "$(for n in $names; do [ ! -e "$(file "$n" $dist)" ] || echo "$n"; done | wc -l
            find "$R" -name "justalock-$version-1$dist.src.rpm" | wc -l)" "7
1"
done
is "and no more" "$(find "$R" -name '*.rpm' | wc -l)" 24

# ---- what is in them ------------------------------------------------------------
lib=$(rpm --eval '%{_libdir}')
places="justalock /etc/justalock/justalock.json
justalock /usr/bin/justalock
justalock /usr/libexec/justalock/justalock-keeper
justalock /usr/share/bash-completion/completions/justalock
justalock /usr/share/bash-completion/completions/justalock-agent
justalock /usr/share/bash-completion/completions/justalock-server
justalock /usr/share/fish/vendor_completions.d/justalock-agent.fish
justalock /usr/share/fish/vendor_completions.d/justalock-server.fish
justalock /usr/share/fish/vendor_completions.d/justalock.fish
justalock /usr/share/justalock/justalock.json
justalock /usr/share/justalock/justalock.schema.json
justalock /usr/share/man/man1/justalock.1.gz
justalock /usr/share/man/man5/justalock.json.5.gz
justalock /usr/share/man/man7/justalock-protocol.7.gz
justalock /usr/share/zsh/site-functions/_justalock
justalock-agent /usr/lib/systemd/system/justalock-agent.service
justalock-agent /usr/lib/systemd/system/justalock-agent.socket
justalock-agent /usr/lib/sysusers.d/justalock-agent.conf
justalock-agent /usr/sbin/justalock-agent
justalock-agent /usr/share/man/man8/justalock-agent.8.gz
justalock-devel /usr/include/justalock.h
justalock-devel $lib/libjustalock.a
justalock-devel $lib/libjustalock.so
justalock-devel $lib/pkgconfig/justalock.pc
justalock-devel /usr/share/man/man3/justalock.3.gz
justalock-libs $lib/libjustalock.so.1
justalock-server /usr/lib/systemd/system/justalock-server.service
justalock-server /usr/lib/systemd/system/justalock-server.socket
justalock-server /usr/lib/sysusers.d/justalock-server.conf
justalock-server /usr/sbin/justalock-server
justalock-server /usr/share/man/man8/justalock-server.8.gz
pam_justalock $lib/security/pam_justalock.so
pam_justalock /usr/share/justalock/pam.d/one-login-node
pam_justalock /usr/share/justalock/pam.d/root-shell
pam_justalock /usr/share/justalock/pam.d/sudo-window
pam_justalock /usr/share/man/man8/pam_justalock.8.gz
slurm-spank-justalock $lib/slurm/spank_justalock.so
slurm-spank-justalock /usr/share/justalock/healthcheck.sh
slurm-spank-justalock /usr/share/justalock/plugstack.conf.d/justalock.conf
slurm-spank-justalock /usr/share/man/man8/spank_justalock.8.gz"
for dist in .el9 .el8 ''; do
    is "${dist:-openSUSE}: each file in its place and package, and no other" \
        "$(for n in $names; do
            rpm -qp --qf '[%{FILEMODES:perms} %{=NAME} %{FILENAMES}\n]' "$(file "$n" $dist)"
        done | sed -n '/^d/d; /\.build-id\|\/licenses\/\|\/doc\//d; s/^[^ ]* //p' | sort)" \
        "$(echo "$places" | sort)"
done
is "configuration is kept when changed" \
    "$(rpm -qp --configfiles "$(file justalock .el9)")" /etc/justalock/justalock.json
is "a licence with each that stands alone" \
    "$(for n in $names; do rpm -qpL "$(file "$n" .el9)"; done | wc -l)" 3

requires() { # PACKAGE: what it requires by name, of us and of systemd
    rpm -qpR "$(file "$1" "$dist")" | grep -v '^lib\|^rpmlib\|^rtld\|^config(\|/sh$' | sort -u | xargs
}
soname=$(readelf -d "$(gcc -print-file-name=libslurm.so)" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
like "Slurm's library has a name" "$soname" '^libslurm\.so\.[0-9]+$'
isa="justalock$(rpm --eval '%{?_isa}')"
for dist in .el9 .el8 ''; do
    is "${dist:-openSUSE}: PAM's module wants an agent of at least its version" \
        "$(requires pam_justalock)" "justalock-agent >= $version"
    is "${dist:-openSUSE}: Slurm's, too" \
        "$(requires slurm-spank-justalock)" "justalock-agent >= $version"
    is "${dist:-openSUSE}: and the Slurm it was built for" \
        "$(rpm -qpR "$(file slurm-spank-justalock $dist)" | grep libslurm)" "$soname()(64bit)"
    is "${dist:-openSUSE}: the agent wants its command, who makes users, systemd" \
        "$(requires justalock-agent)" \
        "/usr/bin/getent /usr/sbin/useradd $isa = $version-1$dist systemd"
    is "${dist:-openSUSE}: the server needs none of ours" \
        "$(requires justalock-server)" "/usr/bin/getent /usr/sbin/useradd systemd"
    is "${dist:-openSUSE}: modules provide nothing but themselves" \
        "$(for n in pam_justalock slurm-spank-justalock; do
            rpm -qp --provides "$(file $n $dist)"
        done | grep '\.so')" ""
done
is "what it is built with has TLS, and versions" \
    "$(rpm -qpR "$R/justalock-$version-1.el9.src.rpm" | grep 'gnutls\|>=' | grep -v rpmlib | xargs)" \
    "pkgconfig(gnutls) pkgconfig(json-c) >= 0.13 pkgconfig(libcurl) >= 7.61 pkgconfig(libmicrohttpd) >= 0.9.59 pkgconfig(sqlite3) >= 3.26"

# ---- scripts ----------------------------------------------------------------------
n=0
for f in $rpms; do
    for s in PREIN POSTIN PREUN POSTUN; do
        rpm -qp --qf "%{$s}\n" "$f" >"$T/script"
        [ "$(cat "$T/script")" != '(none)' ] || continue
        n=$((n + 1))
        sh -n "$T/script" 2>"$T/log" || ok "$(basename "$f"), $s: $(cat "$T/log")" false
        ! grep -q '%{\|%[a-z]*_[a-z]' "$T/script" || ok "$(basename "$f"), $s: macros in it" false
    done
done
is "scripts that a shell reads, with no macro left" $n 30

# ---- installed into a tree, with what the scripts call -----------------------------
D=$T/tree
mkdir -p "$D/bin" "$D/dev" "$D/etc/pam.d" "$D/etc/slurm/plugstack.conf.d" "$D/run"
for p in sh grep sed sort tail head chmod mv getent; do
    cp -L "$(command -v $p)" "$D/bin/$p"
    ldd "$D/bin/$p" | grep -o '/[^ ]*'
done | sort -u | while read -r f; do
    mkdir -p "$D/$(dirname "$f")"
    cp -L "$f" "$D/$f"
done
# Users are there: useradd is not ours to try.
printf '%s:x:999:999::/:/sbin/nologin\n' justalock justalock-server >"$D/etc/passwd"
for f in null urandom; do
    : >"$D/dev/$f"
    mount --bind /dev/$f "$D/dev/$f" || exit 1
done
rpm_in() { rpm --root "$D" --nodeps "$@" >"$T/log" 2>&1; }
told() { grep -v '^rpm: \|^error: \|^warning: ' "$T/log"; }
el9=$(find "$R" -name '*.el9.*.rpm' ! -name '*.src.rpm' | sort)
# shellcheck disable=SC2086
rpm_in -i $el9
is "rpm -i, with scripts" "$?, $(told)" "0, "
for p in bin/justalock sbin/justalock-agent sbin/justalock-server; do
    is "$p runs" "$("$D/usr/$p" --version)" "$(basename $p) $version"
done
is "a program finds the library" \
    "$(LD_LIBRARY_PATH="$D$lib" ldd "$D$lib/libjustalock.so" | grep -c 'not found')" 0
like "the configuration holds as it is" \
    "$("$D/usr/bin/justalock" config check --config "$D/etc/justalock/justalock.json" 2>&1)" \
    '^ok: configuration: .* 0 locks'
is "units start what is installed" \
    "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$D"/usr/lib/systemd/system/*.service | xargs)" \
    "/usr/sbin/justalock-agent /usr/sbin/justalock-server"
is "each package makes its own user" \
    "$(cd "$D/usr/lib/sysusers.d" && grep -H '^u' ./* | sed 's/ *-* *".*//' | xargs)" \
    "./justalock-agent.conf:u justalock ./justalock-server.conf:u justalock-server"
is "a secret is there, root's alone" "$(stat -c '%U:%G %a %s' "$D/etc/justalock/secret")" \
    "root:root 400 64"
secret=$(sha256sum "$D/etc/justalock/secret")

echo 'session required pam_justalock.so lock=x' >"$D/etc/pam.d/door"
echo '# session required pam_justalock.so lock=x' >"$D/etc/pam.d/su"
echo 'required spank_justalock.so' >"$D/etc/slurm/plugstack.conf.d/lock.conf"
echo '{}' >"$D/etc/justalock/justalock.json"
# shellcheck disable=SC2086
rpm_in -U --force $el9
is "in use, an upgrade is not hindered" "$?, $(told)" "0, "
is "and the secret is the same" "$(sha256sum "$D/etc/justalock/secret")" "$secret"
is "so is the configuration" "$(cat "$D/etc/justalock/justalock.json")" '{}'

for n in pam_justalock slurm-spank-justalock; do
    rpm_in -e $n
    is "$n in use: rpm -e fails" $? 1
    cp "$T/log" "$T/$n.log"
    is "$n is still installed" "$(rpm --root "$D" -q --qf '%{NAME}\n' $n 2>/dev/null)" $n
done
is "PAM's files are told, the ones with comments are not" \
    "$(grep 'is in use\|^    ' "$T/pam_justalock.log")" \
    "pam_justalock: pam_justalock.so is in use, not removed:
    /etc/pam.d/door"
is "Slurm's files are told" "$(grep 'is in use\|^    ' "$T/slurm-spank-justalock.log")" \
    "slurm-spank-justalock: spank_justalock.so is in use, not removed:
    /etc/slurm/plugstack.conf.d/lock.conf"
ok "and are still there" test -s "$D$lib/security/pam_justalock.so" -a -s "$D$lib/slurm/spank_justalock.so"
rm "$D/etc/slurm/plugstack.conf.d/lock.conf" "$D/etc/pam.d/door"
printf 'ClusterName=x\nplugstackconfig = /etc/site # ours\n' >"$D/etc/slurm/slurm.conf"
echo 'optional /usr/lib64/slurm/spank_justalock.so' >"$D/etc/site"
rpm_in -e slurm-spank-justalock
is "named where slurm.conf says: rpm -e fails" "$? $(grep '^    ' "$T/log")" "1     /etc/site"
rm "$D/etc/site"
# shellcheck disable=SC2086
rpm_in -e $names
is "named nowhere: rpm -e" "$?, $(told)" "0, "
is "what an admin may want again is kept, and no more" \
    "$(cd "$D" && find . -path ".$T" -prune -o -name '*justalock*' -print \
        -o -path './etc/justalock/*' -print | sort | xargs)" \
    "./etc/justalock ./etc/justalock/justalock.json.rpmsave ./etc/justalock/secret"

# ---- rpmlint, and without Slurm ----------------------------------------------------
if command -v rpmlint >/dev/null; then
    # shellcheck disable=SC2086
    rpmlint -r packaging/rpm/rpmlintrc $spec "$R/justalock-$version-1.el9.src.rpm" $rpms >"$T/log" 2>&1
    is "rpmlint: no error, no warning, no filter that is not needed" \
        "$?, $(grep ': [EW]: ' "$T/log")" "0, "
    like "it has read them all" "$(cat "$T/log")" '22 packages and 1 specfiles checked; 0 errors, 0 warnings'
else
    skip "rpmlint" "rpmlint is not installed"
fi
ok "built --without spank" quiet env RPM_BUILD='--without spank' packaging/build-rpm el9
is "nothing of Slurm's is there" \
    "$(find "$R" -name '*.rpm' ! -name '*.src.rpm' | wc -l; for f in "$R"/*.rpm; do
        rpm -qpl "$f" | grep 'spank\|plugstack\|slurm'
    done)" 6
mkdir "$T/none"
printf '#!/bin/sh\nexit 1\n' >"$T/none/readelf"
chmod 755 "$T/none/readelf"
like "without it, where it is wanted: not built, and told why" \
    "$(PATH=$T/none:$PATH packaging/build-rpm el9 2>&1; echo "status $?")" \
    '^libslurm.so, whose SONAME is to be required, is not found'
is "but the spec can be read" "$(find "$R" -name '*.rpm' | wc -l)
$(PATH=$T/none:$PATH rpmspec -q --srpm --load=packaging/rpm/macros.el9-on-debian $spec 2>&1)" "0
justalock-$version-1.el9.src"
is "a family that is none is refused" \
    "$(packaging/build-rpm beos 2>&1; echo $?)" \
    "packaging/build-rpm: family beos: not el9, el8 or suse
64"
tap_done
