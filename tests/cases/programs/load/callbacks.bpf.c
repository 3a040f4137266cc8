// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Addresses of functions, as helpers take them.
#include "bpf.h"

static long (*const loop)(__u32 count, void *callback, void *data, __u64 flags) = (void *)181;

static __noinline int weigh(__u32 i)
{
	opaque(i);
	return i + 1;
}

static long add(__u32 i, void *data)
{
	*(__u64 *)data += weigh(i);
	return 0;
}

// A callback with external linkage: its relocation names it, not the section.
__noinline int visible(__u32 i, __u64 *data)
{
	if (data)
		*data ^= i;
	return 0;
}

SEC("xdp")
int callbacks(struct xdp_md *ctx)
{
	__u64 sum = 0;

	loop(10, add, &sum, 0);
	loop(11, visible, &sum, 0);
	loop(12, add, &sum, 0);
	return sum & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
