#!/bin/sh
# Rebuilds the objects beside their sources, or in the directory given: `build.sh [DIR]`.
# The checked-in objects are clang 19's; CLANG names another one.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
compile() {
	"${CLANG:-clang-19}" -O2 -g --target="$1" -mcpu=v3 -Wall -Werror -I ../../../../examples/include \
		-ffile-prefix-map="$(cd ../../../.. && pwd)"=. -fdebug-compilation-dir=. -c "$2" -o "$out/$3"
}
for source in *.bpf.c; do
	compile bpf "$source" "${source%.c}.o"
done
compile bpfeb functions.bpf.c functions.bpfeb.o
compile bpfeb globals.bpf.c globals.bpfeb.o
compile bpfeb words.bpf.c words.bpfeb.o
