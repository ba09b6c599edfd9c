#!/bin/bash
# prometheus.sh FOLDER: Debian's Prometheus, Alertmanager and node exporter, unpacked for tests and not installed.
set -euo pipefail
out=$(realpath --canonicalize-missing "$1")
packages=(prometheus prometheus-alertmanager prometheus-node-exporter)
rm -rf "$out" "$out.partly"
mkdir -p "$out.partly"
cd "$out.partly"
apt-get download --quiet=2 -o APT::Sandbox::User=root "${packages[@]}" >/dev/null
for package in *.deb; do
  dpkg-deb --extract "$package" .
done
rm -- *.deb
# Alertmanager has no option for where its templates are: here it finds them from the folder that it is started in.
LC_ALL=C sed --in-place 's|/usr/share/prometheus/alertmanager|.usr/share/prometheus/alertmanager|g' usr/bin/prometheus-alertmanager
ln -s usr .usr
mv "$out.partly" "$out"
