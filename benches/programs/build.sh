#!/bin/sh
# Rebuilds the objects beside their sources, or in the directory given: `benches/programs/build.sh [DIR]`.
# The checked-in objects are clang 19's; CLANG names another one.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-benches/programs}
for source in benches/programs/*.bpf.c; do
	name=$(basename "$source" .c)
	"${CLANG:-clang-19}" -O2 -g --target=bpf -mcpu=v3 -Wall -Werror \
		-ffile-prefix-map="$(pwd)"=. -fdebug-compilation-dir=. \
		-c "$source" -o "$out/$name.o"
done
