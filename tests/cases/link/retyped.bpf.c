// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Takes a variable of `second.bpf.c` for a wider one.
#include "shared.h"

extern long long limit;

SEC("socket")
int retyped(void *ctx)
{
	return limit;
}

char _license[] SEC("license") = "Dual MIT/GPL";
