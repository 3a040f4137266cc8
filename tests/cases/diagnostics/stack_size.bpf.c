// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner keeps large buffers on the stack, of several functions.
#include "bpf.h"

static __noinline __u32 sum(__u32 seed)
{
	__u8 work[320], *at = work;

	opaque(at);
	for (int i = 0; i < 320; i += 32)
		at[i] = seed;
	opaque(at);
	return work[8];
}

SEC("xdp")
int two_buffers(struct xdp_md *ctx)
{
	__u8 buffer[256], *at = buffer;

	opaque(at);
	for (int i = 0; i < 256; i += 32)
		at[i] = ctx->rx_queue_index;
	opaque(at);
	return sum(buffer[32]) ? XDP_DROP : XDP_PASS;
}
