// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner calculates with pointers as with numbers.
#include "bpf.h"

struct slots {
	__u32 slot[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slots);
} table SEC(".maps");

SEC("xdp")
int aligned_down(struct xdp_md *ctx)
{
	__u8 *data_end = (void *)(long)ctx->data_end;
	__u8 *data = (void *)((long)ctx->data & ~3L);

	if (data + 1 > data_end)
		return XDP_PASS;
	return *data ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int index_unchecked(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct slots *slots = bpf_map_lookup_elem(&table, &key);

	if (!slots)
		return XDP_PASS;
	slots->slot[ctx->rx_queue_index] += 1;
	return XDP_PASS;
}

SEC("xdp")
int index_checked_badly(struct xdp_md *ctx)
{
	__u32 key = 0, queue = ctx->rx_queue_index;
	struct slots *slots = bpf_map_lookup_elem(&table, &key);

	if (!slots)
		return XDP_PASS;
	if (queue > 8)
		return XDP_PASS;
	slots->slot[queue] += 1;
	return XDP_PASS;
}
