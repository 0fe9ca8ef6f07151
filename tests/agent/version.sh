#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Modules of another version than the agent's: a later one, with more fields,
# is told both numbers, and nothing of it is taken for a request; what a later
# agent answers, this side refuses in the same way (tests/unit/test_wire.c).

. tests/lib/tap.sh
. tests/lib/agent.sh
agent_private "$0" "$@"

service_start
agent_start
raw() { # HEX: what is answered, printable
    python3 - "$1" <<'END2'
import re, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.connect('/run/agent.sock')
s.send(bytes.fromhex(sys.argv[1]))
print(re.sub(rb'[^ -~]', b'.', s.recv(4096)).decode())
END2
}
ok "version 1, a ping (type 8): answered" [ -n "$(raw 01000800)" ]
like "version 2: told both" "$(raw 02000800)" 'version 2: this side speaks version 1'
like "version 2 with more fields: told both" "$(raw 020008000400deadbeef)" \
    'version 2: this side speaks version 1'
like "version 1 with more fields than it has: refused" "$(raw 010008000400deadbeef)" \
    'not a request'
ok "and the agent answers" agent_answers
tap_done
