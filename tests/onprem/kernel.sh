#!/bin/bash
# kernel.sh FOLDER IMAGE: Debian 13's kernel as a program (user-mode Linux), FOLDER/linux, and FOLDER/lib/modules: Debian's
# package, unpacked and not installed. This machine may be of another release, so the program takes its libraries from IMAGE,
# a Debian 13 that `image.sh` made. It must be started in FOLDER, with LD_LIBRARY_PATH=lib/host.
# That kernel lacks what Debian's for machines has: asymmetric keys, in which NFS with xprtsec=mtls keeps who a client is;
# nftables' tables for IPv4 and IPv6; WireGuard; a TPM, here one that a program plays (swtpm). They are built as modules, by
# the kernel's own configuration and of the very source that it was built of: the key's layout changed within 6.12, and with
# that of a later one the kernel stopped. It needs gcc, make, flex, bison, bc and depmod.
set -euo pipefail
out=$(realpath --canonicalize-missing "$1") image=$(realpath "$2")
rm -rf "$out" "$out.partly"
mkdir -p "$out.partly"/{lib,apt/lists/partial,apt/archives/partial}
cd "$out.partly"
# Lists of packages apart from this machine's.
for suite in " trixie" "-security trixie-security"; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
${SLIPWAY_DEBIAN_MIRROR:-http://deb.debian.org/debian}$suite main"
done > apt/sources
apt=(apt-get --quiet=2 -o Acquire::Languages=none -o APT::Sandbox::User=root -o "Dir::Cache=$PWD/apt"
  -o "Dir::State=$PWD/apt" -o Dir::State::status=/dev/null -o "Dir::Etc::sourcelist=$PWD/apt/sources"
  -o Dir::Etc::sourceparts=/dev/null)
"${apt[@]}" update
"${apt[@]}" download user-mode-linux
source=$(dpkg-deb --field user-mode-linux_*.deb Built-Using | sed -n 's/^linux (= \(.*\))$/\1/p')
"${apt[@]}" download "linux-source-6.12=$source"
for package in *.deb; do dpkg-deb --extract "$package" apt/package; done
mv apt/package/usr/lib/uml/modules lib/modules
release=$(basename lib/modules/*)
# Its tables of nftables have the bridge's alone, and are built anew.
rm "lib/modules/$release/kernel/net/netfilter/nf_tables.ko"
mkdir "lib/modules/$release/kernel/slipway"

# Of the source, as much as modules need.
mkdir apt/source
top=linux-source-6.12
tar --extract --directory=apt/source --strip-components=1 --file=apt/package/usr/src/$top.tar.xz --wildcards \
  '*Kconfig*' $top/{Makefile,Kbuild} "$top/arch/um/*" "$top/arch/x86/*" "$top/scripts/*" "$top/include/*" "$top/crypto/*" \
  "$top/kernel/*" "$top/lib/*" "$top/init/*" "$top/certs/*" "$top/tools/include/*" "$top/tools/build/*" "$top/tools/scripts/*" \
  "$top/net/*" $top/drivers/{Makefile,net/Makefile,char/Makefile} "$top/drivers/net/wireguard/*" "$top/drivers/char/tpm/*"
(
  cd apt/source
  export ARCH=um SUBARCH=x86_64
  zcat ../package/usr/share/doc/user-mode-linux/config.gz > .config
  printf 'CONFIG_%s\n' ASYMMETRIC_KEY_TYPE=m ASYMMETRIC_PUBLIC_KEY_SUBTYPE=m X509_CERTIFICATE_PARSER=m CRYPTO_ECDSA=m \
    NF_TABLES_{INET,IPV4,IPV6}=y NFT_REJECT_INET=m WIREGUARD=m TCG_TPM=m TCG_VTPM_PROXY=m TCG_TPM2_HMAC=n \
    'LOCALVERSION=""' DEBUG_INFO_NONE=y >> .config
  # Without SELinux's tools. The type of keys is no module by itself, and the one function that it calls and that is not
  # exported says no to every link.
  sed --in-place '/SECURITY_SELINUX/d' scripts/Makefile
  sed --in-place '/^menuconfig ASYMMETRIC_KEY_TYPE/{n;s/bool/tristate/}' crypto/asymmetric_keys/Kconfig
  sed --in-place 's/restrict_link_reject/reject_link/' include/keys/system_keyring.h
  {
    printf '#include <linux/key.h>\n#include <linux/errno.h>\n#include <linux/module.h>\n'
    printf 'static int reject_link(struct key *a, const struct key_type *b, const union key_payload *c, struct key *d)\n'
    printf '{ return -EPERM; }\nMODULE_LICENSE("GPL");\n'
    cat crypto/asymmetric_keys/asymmetric_type.c
  } > type.c
  mv type.c crypto/asymmetric_keys/asymmetric_type.c
  # One that a program plays needs no memory of devices.
  sed --in-place '/^menuconfig TCG_TPM/,/^if/s/depends on HAS_IOMEM//' drivers/char/tpm/Kconfig
  make --silent olddefconfig
  make --silent modules_prepare
  modules=(crypto/{asymmetric_keys/{asymmetric_keys,public_key,x509_key_parser},ecdsa_generic}.ko
    net/{netfilter/{nf_tables,nft_reject_inet},ipv4/netfilter/nft_reject_ipv4,ipv6/netfilter/nft_reject_ipv6}.ko
    drivers/net/wireguard/wireguard.ko lib/crypto/lib{curve25519,curve25519-generic,chacha20poly1305}.ko
    drivers/char/tpm/{tpm,tpm_vtpm_proxy}.ko)
  make --silent KBUILD_MODPOST_WARN=1 "${modules[@]}"
  cp "${modules[@]}" "$out.partly/lib/modules/$release/kernel/slipway"
)
# Four fifths of the modules are for debuggers.
find lib/modules -name '*.ko' -exec strip --strip-debug {} +
PATH=$PATH:/sbin depmod --basedir . "$release"

# The loader is found from the folder it is started in. In the program each byte must stay in its place.
from=/lib64/ld-linux-x86-64.so.2 to=./ld.so
zeros=$(printf '\\x00%.0s' $(seq $((${#from} - ${#to}))))
LC_ALL=C sed "s|$from\\x00|$to$zeros\\x00|" apt/package/usr/bin/linux.uml > linux
chmod +x linux
ln -s "$(realpath "$image/lib64/ld-linux-x86-64.so.2")" ld.so
ln -s "$image/usr/lib/x86_64-linux-gnu" lib/host
LD_LIBRARY_PATH=lib/host ./linux --version >/dev/null
rm -r apt ./*.deb
mv "$out.partly" "$out"
