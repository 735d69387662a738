#!/bin/sh
# Runs a test with the packages of requirements.txt: run.sh VENV TEST.py [arguments]
#
# The first test makes the virtual environment, the others wait for it. Without a network, or without
# the venv module, the test is skipped (77) and says why. Made again when the requirements change.
set -eu
venv=$1
shift
requirements=$(dirname "$0")/requirements.txt

skip() {
    echo "SKIP: $*"
    exit 77
}

mkdir -p "$venv"
exec 9>"$venv/lock"
flock 9
if ! cmp -s "$requirements" "$venv/installed.txt"; then
    python3 -m venv "$venv" >"$venv/log" 2>&1 ||
        skip "python3 -m venv does not work here (Debian: python3-venv); see $venv/log"
    "$venv/bin/pip" install --disable-pip-version-check --timeout 20 --retries 1 --quiet \
        --requirement "$requirements" >>"$venv/log" 2>&1 ||
        skip "the packages of tests/python/requirements.txt cannot be had; see $venv/log"
    cp "$requirements" "$venv/installed.txt"
fi
exec 9>&-
exec "$venv/bin/python" "$@"
