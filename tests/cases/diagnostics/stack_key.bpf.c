// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner's key has padding, or is never set.
#include "bpf.h"

struct flow {
	__u64 address;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct flow);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int padded(struct xdp_md *ctx)
{
	struct flow key;
	__u64 *value;

	key.address = ctx->ingress_ifindex;
	key.port = ctx->rx_queue_index;
	value = bpf_map_lookup_elem(&flows, &key);
	if (value)
		*value += 1;
	return XDP_PASS;
}

SEC("socket")
int never_set(void *ctx)
{
	struct flow key;
	__u64 *value;

	opaque(ctx);
	value = bpf_map_lookup_elem(&flows, &key);
	return value ? 1 : 0;
}
