#!/bin/sh
# Make .venv and install cyberterr in it; with --tests also what the tests need.
# Nothing is changed outside this folder, except by --tests as root on Debian or Ubuntu.
set -eu
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*" >&2; }

python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    say "Python 3.11 or newer is needed: sudo apt install python3 python3-venv"
    exit 4
fi

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    if may_install; then
        say "installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null
    else
        say "Python's venv is missing: sudo apt install python3-venv"
        exit 4
    fi
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@"
}

if [ "${1:-}" = --tests ]; then
    missing=
    for pair in tshark:tshark dumpcap:wireshark-common nfdump:nfdump nmap:nmap ip:iproute2 \
        ethtool:ethtool ping:iputils-ping unshare:util-linux sshd:openssh-server \
        ssh:openssh-client curl:curl dnsmasq:dnsmasq-base openssl:openssl \
        setcap:libcap2-bin systemd-analyze:systemd pgrep:procps javac:default-jdk-headless \
        mvn:maven espeak-ng:espeak-ng pdftotext:poppler-utils; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 ||
            missing="$missing ${pair##*:}"
    done
    # WeasyPrint (PDF reports) loads this library when it is used.
    /sbin/ldconfig -p | grep -q libpangoft2 || missing="$missing libpangoft2-1.0-0 libharfbuzz-subset0"
    if [ -n "$missing" ] && may_install; then
        say "installing$missing"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends $missing >/dev/null; } || say "could not install:$missing"
    elif [ -n "$missing" ]; then
        say "not installed (tests that need them are skipped):$missing"
    fi
    install -e . --group dev 2>/dev/null || install -U pip && install -e . --group dev
else
    install .
fi
