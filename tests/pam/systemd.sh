#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pam_justalock on a machine with a real systemd: logind's scopes, the agent
# as a service that is restarted during a session, terminate-session,
# KillUserProcesses, systemd-user.

# shellcheck disable=SC2016
. tests/lib/tap.sh
. tests/lib/node.sh
node_private "$0" "$@"

# ---- the machine, before it boots ------------------------------------------------
node_make n1 || exit 1
R=$T/n1/root
mkdir -p "$R/etc/justalock" "$R/root/.ssh"
head -c 64 /dev/urandom >"$R/etc/justalock/secret"
chmod 400 "$R/etc/justalock/secret"
cat >"$R/etc/justalock/justalock.json" <<'END'
{ "service": { "url": "http://127.0.0.1:7171/" },
  "defaults": { "lifetime": 20 },
  "locks": { "shell": { "for": "pam" } } }
END
unit() { # NAME COMMAND
    cat >"$R/etc/systemd/system/$1.service" <<END
[Service]
Type=notify
NotifyAccess=all
KillMode=process
ExecStart=/opt/justalock/bin/$2
RuntimeDirectory=justalock
RuntimeDirectoryPreserve=yes
[Install]
WantedBy=multi-user.target
END
    mkdir -p "$R/etc/systemd/system/multi-user.target.wants"
    ln -s "/etc/systemd/system/$1.service" \
        "$R/etc/systemd/system/multi-user.target.wants/"
}
unit justalock-server "justalock-server --listen 127.0.0.1:7171 --state /var/lib/justalock"
unit justalock-agent "justalock-agent --keeper-user nobody"
# The documented place: after pam_loginuid, before common-session.
line='session required /opt/justalock/lib/pam_justalock.so lock=shell'
sed -i "/pam_loginuid/a $line" "$R/etc/pam.d/sshd"
{ cat "$R/usr/lib/pam.d/systemd-user" && echo "$line"; } >"$R/etc/pam.d/systemd-user"
chroot "$R" useradd -m -u 2001 alice
ssh-keygen -q -t ed25519 -N '' -f "$T/key"
mkdir -p "$R/home/alice/.ssh"
cp "$T/key.pub" "$R/home/alice/.ssh/authorized_keys"
chown -R 2001:2001 "$R/home/alice/.ssh"
cp "$T/key" "$R/root/key"
chmod 600 "$R/root/key"
ok "it boots" node_boot n1
is "our services run" \
    "$(in_node n1 systemctl is-active justalock-agent justalock-server | tr '\n' ' ')" \
    "active active "
is "no failed unit" "$(in_node n1 systemctl --failed --no-legend | wc -l)" 0

# ---- a session --------------------------------------------------------------------
ssh_in() { # COMMAND
    in_node n1 ssh -i /root/key -o BatchMode=yes -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR alice@127.0.0.1 "$@"
}
list() { in_node n1 /opt/justalock/bin/justalock list; }
is_held() { list | grep -q '^held .*shell .*session '; }
is_free() { [ "$(list | grep -c shell)" = 0 ]; }
G=/home/alice/go
enter() { # the session's id to $T/id, and stays until $G is there
    rm -f "$R$G" "$R/home/alice/id"
    ssh_in "echo \$XDG_SESSION_ID >id; while [ ! -e $G ]; do sleep 0.1; done" \
        >"$T/enter.out" 2>&1 &
    entered=$!
    wait_for 20 test -s "$R/home/alice/id"
}
leave() { touch "$R$G" && wait $entered; }
ok "alice is in" enter
id=$(cat "$R/home/alice/id")
ok "and has the lock" is_held
like "logind has given her a session" "$id" '^[0-9c]+$'
ok "in a scope of its own" in_node n1 systemctl -q is-active "session-$id.scope"
out=$(ssh_in true 2>&1)
is "a second one is refused" $? 254
like "and told" "$out" 'justalock: lock "shell" is held by alice@n1 \(sshd from 127.0.0.1\)'
user_runs() { in_node n1 systemctl -q is-active user@2001.service; }
ok "systemd-user is not held up, though its stack has the line" wait_for 10 user_runs

# ---- the agent is restarted under it ------------------------------------------------
in_node n1 systemctl restart justalock-agent
ok "agent restarted: it runs" wait_for 10 in_node n1 systemctl -q is-active justalock-agent
ok "agent restarted: the session still has the lock" wait_for 10 is_held
sleep 2
ok "agent restarted: and keeps it" is_held
in_node n1 systemctl stop justalock-agent
in_node n1 systemctl start justalock-agent
ok "agent stopped and started: the session still has the lock" wait_for 10 is_held
ok "it has not ended" kill -0 $entered
leave
ok "free after the session" wait_for 10 is_free

# ---- logind ends it -------------------------------------------------------------------
enter
in_node n1 loginctl terminate-session "$(cat "$R/home/alice/id")"
wait $entered
ok "terminate-session: free" wait_for 20 is_free
enter
touch "$R$G"
wait $entered
wait_for 10 is_free # else the next one is refused
ssh_in 'setsid sleep 300 >/dev/null 2>&1 & sleep 0.2' >/dev/null 2>&1
like "what outlives its session keeps the lock, and list says so" "$(list)" \
    '^kept .*shell .*1 process'
in_node n1 pkill -u alice -x sleep
ok "free when it has ended" wait_for 10 is_free
mkdir -p "$R/etc/systemd/logind.conf.d"
printf '[Login]\nKillUserProcesses=yes\n' >"$R/etc/systemd/logind.conf.d/kill.conf"
in_node n1 systemctl restart systemd-logind
ssh_in 'setsid sleep 300 >/dev/null 2>&1 & sleep 0.2' >/dev/null 2>&1
ok "KillUserProcesses=yes: free" wait_for 20 is_free
is "nothing of her is left" "$(in_node n1 pgrep -u alice -x sleep)" ""
is "still no failed unit" "$(in_node n1 systemctl --failed --no-legend | wc -l)" 0
node_off n1
tap_done
