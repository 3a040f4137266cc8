#!/bin/sh
# Rebuilds the objects beside their sources, or in the directory given: `build.sh [DIR]`.
# The checked-in objects are clang 19's; CLANG names another one.
set -eu
cd "$(dirname "$0")/../../../.."
out=${1:-tests/cases/verify/kernel}
for source in tests/cases/verify/kernel/*.bpf.c; do
	"${CLANG:-clang-19}" -O2 -g --target=bpf -mcpu=v3 -Wall -I examples/include \
		-ffile-prefix-map="$(pwd)"=. -fdebug-compilation-dir=. \
		-c "$source" -o "$out/$(basename "$source" .c).o"
done
