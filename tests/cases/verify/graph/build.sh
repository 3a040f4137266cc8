#!/bin/sh
# Rebuilds the objects beside their sources, or in the directory given: `build.sh [DIR]`.
# The checked-in objects are clang 19's; CLANG names another one.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
for source in *.bpf.c; do
	"${CLANG:-clang-19}" -O2 -g --target=bpf -mcpu=v3 -Wall -Werror -I ../../../../examples/include \
		-ffile-prefix-map="$(cd ../../../.. && pwd)"=. -fdebug-compilation-dir=. \
		-c "$source" -o "$out/${source%.c}.o"
done
