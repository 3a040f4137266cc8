// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// One half of a program: it declares what `second.bpf.c` defines.
#include "shared.h"

extern int scale(int value);
extern int policy(int value);
extern int limit;
extern const volatile int factor;

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct state);
} states FROM(".maps");

int runs;
int start = 7;
char padding = 1;
static const int table[4] = { 1, 3, 9, 27 };

// Both halves have a static function of this name; each calls its own.
static __noinline int adjust(int value)
{
	opaque(value);
	return value + start;
}

// Gives way to the other half's.
__weak int policy(int value)
{
	opaque(value);
	return value - 1;
}

// Only this half has it, weakly.
__weak __hidden int fallback(int value)
{
	opaque(value);
	return value * 2;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index & 3;
	struct state *state = bpf_map_lookup_elem(&states, &key);

	runs++;
	if (!state)
		return XDP_ABORTED;
	state->hits += table[ctx->ingress_ifindex & 3] * factor;
	if (scale(adjust(state->hits)) > limit)
		return XDP_DROP;
	return policy(fallback(1)) ? XDP_PASS : XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
