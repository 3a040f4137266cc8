#!/bin/sh
# Rebuilds the objects of the benchmark programs; they are checked in beside their sources.
set -eu
cd "$(dirname "$0")"
for source in *.bpf.c; do
	clang-19 -O2 -g --target=bpf -mcpu=v3 -Wall -Werror -fdebug-prefix-map="$PWD=." -c "$source" -o "${source%.c}.o"
done
