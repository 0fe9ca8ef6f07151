#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Interoperation: what the Python client and the site's curl line send, byte
# for byte, to the server over each of its stores. Where python3 is, urllib is
# asked whether these are the bytes.

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"
P=$B/tests/server/python
S=$B/bin/justalock-server
tell() { # STORE: the TAP of the program, as ours
    while read -r line; do
        case $line in
        "ok "*) tap_result 0 "$1: ${line#ok * - }" ;;
        "not ok "*) tap_result 1 "$1: ${line#not ok * - }" ;;
        "#"*) echo "$line" ;;
        1..*) ran=${line#1..} ;;
        esac
    done
}
serves() { [ "$(curl -s -m 5 "http://127.0.0.1:$1/healthz")" = ok ]; }
over() { # STORE PORT
    ok "$1: it serves" wait_for 20 serves "$2"
    ran=0
    "$P" "$2" >"$T/out" 2>&1
    tell "$1" <"$T/out"
    ok "$1: all of them were asked ($ran)" [ "$ran" -ge 20 ]
}

"$S" --listen 127.0.0.1:7171 --state "$T/state" >"$T/s1.log" 2>&1 &
over SQLite 7171
if command -v etcd >/dev/null; then
    etcd --data-dir "$T/etcd" --log-level error \
        --listen-client-urls http://127.0.0.1:2379 \
        --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 >"$T/etcd.log" 2>&1 &
    "$S" --listen 127.0.0.1:7172 --state etcd://127.0.0.1:2379 >"$T/s2.log" 2>&1 &
    over etcd 7172
else
    skip "etcd" "it is not installed"
fi

# ---- are these the bytes? ----------------------------------------------------------
if command -v python3 >/dev/null; then
    cat >"$T/look.py" <<'END'
import socket, subprocess, sys, threading, urllib.request

# Once by the program, once by urllib with the same client id: the same bytes,
# but for Python's version.
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(1)
port = listening.getsockname()[1]
heard = []


def hear():
    conn, _ = listening.accept()
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < 28:
        more = conn.recv(4096)
        if not more:
            break
        data += more
    heard.append(data)
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    conn.close()


def both(ask):
    thread = threading.Thread(target=hear)
    thread.start()
    ask()
    thread.join()


both(lambda: subprocess.run([sys.argv[1], str(port), "request"], check=True))
body = heard[0].split(b"\r\n\r\n", 1)[1]
both(lambda: urllib.request.urlopen(urllib.request.Request(
    "http://127.0.0.1:%d/AAAAAAAAAAAAAAAAAAAABw?s=60" % port, data=body,
    method="POST"), timeout=2))
ours = heard[0].replace(b"urllib/3.11",
                        b"urllib/%d.%d" % sys.version_info[:2])
print("same" if ours == heard[1] else "%r\n%r" % (ours, heard[1]))
END
    is "urllib sends the same" "$(timeout 20 python3 "$T/look.py" "$P" 2>&1)" same
else
    skip "urllib sends the same" "python3 is not installed"
fi
tap_done
