// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner loops for as long as a packet says.
#include "bpf.h"

SEC("xdp")
int endless(struct xdp_md *ctx)
{
	__u32 seen = 0;

	while (bpf_get_prandom_u32() != 7)
		opaque(seen);
	return seen ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int too_long(struct xdp_md *ctx)
{
	__u64 sum = 0;

	for (__u64 i = 0; i < bpf_ktime_get_ns(); i++)
		sum += bpf_get_prandom_u32();
	return sum ? XDP_DROP : XDP_PASS;
}
