#!/bin/bash
# build-cli.sh DEST: DEST/bin/pulumi and its Python language host, built from their Go modules (Go 1.25.11 or later).
# For machines that can't download the official installation, which is preferred.
set -euo pipefail
bin=$(mkdir -p "$1/bin" && cd "$1/bin" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=v3.259.0
export GOFLAGS=-mod=mod GOTOOLCHAIN=local
flags=(-trimpath -ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$version")
mkdir "$work/cli" "$work/host"

cat > "$work/cli/go.mod" <<M
module build
go 1.25.11
require (
	github.com/pulumi/pulumi/pkg/v3 $version
	github.com/pulumi/pulumi/sdk/v3 $version
)
replace github.com/atotto/clipboard => github.com/tgummerer/clipboard v0.0.0-20241001131231-d02d263e614e
M
cd "$work/cli"
go build "${flags[@]}" -o "$work/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
sdk=$(go list -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)

# Today's language host is a module of its own that the Go module proxy doesn't serve; v3.75.0 is the last sdk that held it.
# It speaks the same protocol, but reads no runtime options: it takes the Python that is first on PATH.
printf 'module build\ngo 1.25.11\nrequire github.com/pulumi/pulumi/sdk/v3 v3.75.0\n' > "$work/host/go.mod"
cd "$work/host"
go build "${flags[@]}" -o "$work/pulumi-language-python" \
  github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python

install -m755 "$work/pulumi-language-python" "$sdk/python/cmd/pulumi-language-python-exec" \
  "$sdk/python/dist/pulumi-resource-pulumi-python" "$bin"
install -m755 "$work/pulumi" "$bin"  # last: whoever finds it finds all
