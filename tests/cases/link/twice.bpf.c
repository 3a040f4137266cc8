// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Defines what `second.bpf.c` defines, not weakly either.
#include "shared.h"

int scale(int value)
{
	opaque(value);
	return value;
}

char _license[] SEC("license") = "Dual MIT/GPL";
