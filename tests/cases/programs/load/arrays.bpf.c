// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Every field of a map definition, and arrays of programs that the source initialises.
#include "bpf.h"

int low(struct xdp_md *ctx);
int high(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} programs SEC(".maps") = {
	.values = {
		[1] = &low,
		[5] = &high,
		[7] = &low,
	},
};

struct key {
	__u32 address;
	__u16 port;
};
typedef struct key key_t;
typedef __u64 row_t[3];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, 1);
	__uint(numa_node, 0);
	__uint(pinning, 1);
	__type(key, key_t);
	__type(value, row_t);
	__uint(max_entries, 100);
} pinned SEC(".maps");

SEC("xdp")
int low(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int high(struct xdp_md *ctx)
{
	key_t key = { .address = ctx->ingress_ifindex };

	return bpf_map_lookup_elem(&pinned, &key) ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int enter(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &programs, ctx->rx_queue_index);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "GPL";
