# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Certificates for tests, in the current folder: NAME.pem and NAME.key.
#   authority NAME
#   certificate NAME AUTHORITY ALTNAME DAYS [EXTENSION...]

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=authority $1" -addext basicConstraints=critical,CA:TRUE \
        -keyout "$1.key" -out "$1.pem" 2>/dev/null
}
certificate() {
    certs_name=$1 certs_by=$2 certs_days=$4
    printf 'subjectAltName=%s\n' "$3" >"$1.ext"
    shift 4
    for certs_more; do echo "$certs_more" >>"$certs_name.ext"; done
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj "/CN=$certs_name" -keyout "$certs_name.key" \
        -out "$certs_name.csr" 2>/dev/null
    openssl x509 -req -in "$certs_name.csr" -CA "$certs_by.pem" \
        -CAkey "$certs_by.key" -CAcreateserial -days "$certs_days" \
        -extfile "$certs_name.ext" -out "$certs_name.pem" 2>/dev/null
}
