# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# A host of its own for login sessions: sshd, su, sudo and login with pam.d,
# users and keys of the test's own. Source it after tests/lib/tap.sh and
# tests/lib/agent.sh, call agent_private, then:
#
#   logins_private [LINE...]  mounts it over /etc (skips where a program is
#                             missing); LINEs go to each stack below
#   stack SERVICE LINE...     writes /etc/pam.d/SERVICE
#   sshd_start [OPTION...]    on port 2222 of the loopback
#   ssh_run USER COMMAND..    with the test's key; ssh_tty: with a terminal
#   as USER COMMAND...        an ordinary user: alice, bob
#
# Nothing outside the private mount namespace is changed.

logins_private() {
    needs /usr/sbin/sshd ssh sudo su login script setpriv
    JAL="${MODULES:-$B/lib}/pam_justalock.so"
    SOCK=/run/agent.sock
    mkdir -p "$T/etc" "$T/keys" "$T/home/alice/.ssh" "$T/home/bob" /run/sshd
    cp -a /etc/. "$T/etc/"
    rm -rf "$T/etc/pam.d" "$T/etc/ssh" "$T/etc/sudoers.d"
    mkdir "$T/etc/pam.d" "$T/etc/ssh"
    # A home in memory for root too.
    mkdir -p -m 700 "$T/home/root/.ssh"
    sed -i "s|^root:[^:]*:0:0:[^:]*:[^:]*:|root:x:0:0:root:$T/home/root:|" \
        "$T/etc/passwd"
    cat >>"$T/etc/passwd" <<END
alice:x:2001:2001::$T/home/alice:/bin/sh
bob:x:2002:2002::$T/home/bob:/bin/sh
sshd:x:2098:65534::/run/sshd:/usr/sbin/nologin
END
    printf 'alice:x:2001:\nbob:x:2002:\nwheel:x:2003:bob\n' >>"$T/etc/group"
    printf 'alice:*:19000:0:99999:7:::\nbob:*:19000:0:99999:7:::\n' >>"$T/etc/shadow"
    printf 'Defaults !lecture, !authenticate\nDefaults>bob use_pty\nALL ALL=(ALL:ALL) NOPASSWD: ALL\n' \
        >"$T/etc/sudoers"
    chmod 440 "$T/etc/sudoers"
    : >"$T/etc/motd"
    ssh-keygen -q -t ed25519 -N '' -f "$T/keys/host"
    ssh-keygen -q -t ed25519 -N '' -f "$T/keys/user"
    for logins_home in root alice; do
        cp "$T/keys/user.pub" "$T/home/$logins_home/.ssh/authorized_keys"
        chmod 700 "$T/home/$logins_home/.ssh"
    done
    mkdir -p -m 700 "$T/home/bob/.ssh"
    cp "$T/keys/user.pub" "$T/home/bob/.ssh/authorized_keys"
    chown -R 2001:2001 "$T/home/alice"
    chown -R 2002:2002 "$T/home/bob"
    mount --bind "$T/etc" /etc || exit 1
    mount -t tmpfs -o mode=755 tmpfs /var/log || exit 1 # wtmp, btmp, lastlog
    stack other 'auth required pam_deny.so' 'account required pam_deny.so' \
        'session required pam_deny.so'
    for logins_s in sshd su su-l sudo sudo-i login; do stack_usual $logins_s "$@"; done
    chmod 1777 /tmp 2>/dev/null
}

stack() { # SERVICE LINE...
    logins_file=/etc/pam.d/$1
    shift
    printf '%s\n' "$@" >"$logins_file.new"
    mv "$logins_file.new" "$logins_file"
}
# The usual one, with LINEs in its session phase. Of loginuid only where it is
# a login's own.
stack_usual() { # SERVICE LINE...
    logins_service=$1
    shift
    logins_uid=
    case $logins_service in
    sshd | login) logins_uid='session required pam_loginuid.so' ;;
    esac
    stack "$logins_service" 'auth required pam_permit.so' \
        'account required pam_permit.so' \
        ${logins_uid:+"$logins_uid"} "$@" 'session required pam_permit.so' \
        'password required pam_deny.so'
}

sshd_start() { # [OPTION=VALUE...]
    cat >"$T/sshd_config" <<END
Port 2222
ListenAddress 127.0.0.1
HostKey $T/keys/host
UsePAM yes
PermitRootLogin prohibit-password
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
PidFile $T/sshd.pid
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
ClientAliveInterval 1
ClientAliveCountMax 2
LogLevel ERROR
END
    /usr/sbin/sshd -f "$T/sshd_config" -E "$T/sshd.log" || return 1
    wait_for 10 test -s "$T/sshd.pid"
}
ssh_options() {
    echo "-F none -p 2222 -i $T/keys/user -o BatchMode=yes" \
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null" \
        "-o LogLevel=ERROR -o ConnectTimeout=10"
}
ssh_tty() { # USER COMMAND...
    logins_user=$1
    shift
    # shellcheck disable=SC2046
    ssh -tt $(ssh_options) "$logins_user@127.0.0.1" "$@"
}
ssh_run() { # USER COMMAND...
    logins_user=$1
    shift
    # shellcheck disable=SC2046
    ssh $(ssh_options) "$logins_user@127.0.0.1" "$@"
}
as() { # USER COMMAND...
    logins_as=$1
    shift
    setpriv --reuid="$logins_as" --regid="$logins_as" --init-groups "$@"
}
