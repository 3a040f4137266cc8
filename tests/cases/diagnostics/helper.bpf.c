// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner calls a helper that is for programs of another kind.
#include "bpf.h"

static __u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_skb_store_bytes)(void *skb, __u32 offset, const void *from, __u32 len,
					 __u64 flags) = (void *)9;

SEC("xdp")
int for_skbs(struct xdp_md *ctx)
{
	__u32 zero = 0;

	bpf_skb_store_bytes(ctx, 0, &zero, sizeof(zero), 0);
	return XDP_PASS;
}

SEC("socket")
int for_tracing(void *ctx)
{
	return bpf_get_current_pid_tgid() >> 32;
}
