#!/bin/bash
# image.sh FOLDER: a Debian 12 with systemd, as a cloud's image or an installer leaves it, for tests on hosts of their own.
set -euo pipefail
out=$1
packages=systemd,systemd-sysv,dbus,python3,python3-apt,python3.11-venv,ca-certificates,openssl,curl,procps,iproute2,util-linux
rm -rf "$out" "$out.partly"
mkdir -p "$(dirname "$out")"
# The hook gets its $1, the folder, from mmdebstrap.
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
  --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook=': > "$1"/etc/machine-id' \
  bookworm "$out.partly" "${SLIPWAY_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
mv "$out.partly" "$out"
