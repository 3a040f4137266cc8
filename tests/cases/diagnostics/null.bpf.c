// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner does not look whether the lookup found anything; another looks at the wrong pointer.
#include "bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	*value += 1;
	return XDP_PASS;
}

SEC("xdp")
int checked_another(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index, other = 0;
	__u64 *total = bpf_map_lookup_elem(&counts, &other);
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (!total)
		return XDP_PASS;
	*total += 1;
	*value += 1;
	return XDP_PASS;
}
