#!/bin/bash
# image.sh FOLDER [SUITE]: a Debian or Ubuntu with systemd and OpenSSH, as a cloud's image or an installer leaves it, for tests on
# hosts of their own. OpenSSH is not enabled: a host of tests may share this machine's network. `admin` may become root, and has
# no key.
set -euo pipefail
out=$1 suite=${2:-bookworm}
packages=systemd,systemd-sysv,dbus,libpam-systemd,python3,python3-apt,ca-certificates,openssl,curl,procps,iproute2,util-linux
packages+=,openssh-server,sudo,iputils-ping,kmod,udev,netbase
[ "$suite" != bookworm ] || packages+=,python3.11-venv
mirror=${SLIPWAY_DEBIAN_MIRROR:-http://deb.debian.org/debian} options=()
rm -rf "$out" "$out.partly"
mkdir -p "$(dirname "$out")"
case "$suite" in
jammy | noble)
  # Debian 12 has no package of Ubuntu's keys: this is Debian 13's.
  keys=ubuntu-keyring_2023.11.28.1-0.2_all.deb
  sha256=b2e7ed48431bf9e7978ae810bbdaf253093570d6e3f864e575b7c13554b81174
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$mirror/pool/main/u/ubuntu-keyring/$keys" "$folder/$keys" \
    "SHA256:$sha256" >/dev/null
  dpkg-deb --extract "$folder/$keys" "$folder"
  mirror=${SLIPWAY_UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}
  # What Ubuntu's server has besides. It starts OpenSSH by its first connection.
  packages+=,apparmor,apt,rsyslog,systemd-timesyncd,unattended-upgrades
  options=(--components=main,universe --keyring="$folder/usr/share/keyrings/ubuntu-archive-keyring.gpg") ;;
esac
# The hooks get their $1, the folder, from mmdebstrap.
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" "${options[@]}" \
  --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook=': > "$1"/etc/machine-id; rm -f "$1"/etc/ssh/ssh_host_*' \
  --customize-hook='systemctl --quiet --root="$1" disable ssh.service ssh.socket || true' \
  --customize-hook='chroot "$1" useradd --create-home --shell /bin/bash admin' \
  --customize-hook='echo "admin ALL=(ALL) NOPASSWD: ALL" > "$1"/etc/sudoers.d/admin; chmod 440 "$1"/etc/sudoers.d/admin' \
  "$suite" "$out.partly" "$mirror"
mv "$out.partly" "$out"
