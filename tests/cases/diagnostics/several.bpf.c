// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Several mistakes that do not follow from each other: on several paths, and in a function that is verified apart.
#include "bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int on_two_paths(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u32 key = ctx->rx_queue_index;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (ctx->ingress_ifindex == 1)
		return *data;
	if (ctx->ingress_ifindex == 2)
		*value = 1;
	else
		*value += 2;
	return XDP_PASS;
}

__noinline int apart(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return data[3];
}

SEC("xdp")
int in_two_functions(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	if (ctx->ingress_ifindex == 1)
		return apart(ctx);
	return data[4];
}
