#!/bin/sh
# Compiles the firewall ahead of time, and a program that calls a function of its host, and links them into a
# C program, with the runtime as a static library.
# Needs the command `brolga` (or BROLGA=path) and the library (cargo build -p brolga-runtime-c, or RUNTIME=path).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/out}
brolga=${BROLGA:-brolga}
runtime=${RUNTIME:-$here/../../target/debug/libbrolga_runtime_c.a}
mkdir -p "$out"
"$brolga" compile "$here/../firewall.bpf.o" -o "$out/firewall.o"
"$brolga" compile "$here/../firewall.bpf.o" --emit header -o "$out/firewall.h"
host_rate='u32 host_rate(const void *bytes, u32 bytes__sz)'
"$brolga" compile "$here/../host.bpf.o" --host-function "$host_rate" -o "$out/host.o"
"$brolga" compile "$here/../host.bpf.o" --host-function "$host_rate" --emit header -o "$out/host.h"
"${CC:-cc}" -std=c11 -Wall -Wextra -Werror -I "$here/../../runtime/c/include" -I "$out" "$here/main.c" \
	"$out/firewall.o" "$out/host.o" "$runtime" -lpthread -ldl -lm -o "$out/firewall"
echo "$out/firewall"
