// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Several programs in one section, and functions of `.text` that they share in different orders.
#include "bpf.h"

static __noinline int leaf(int x)
{
	opaque(x);
	return x * 3;
}

// Global: Linux verifies it apart from its callers.
__noinline int middle(int x)
{
	opaque(x);
	return leaf(x) + 1;
}

static __noinline int other(int x)
{
	opaque(x);
	return middle(x) ^ leaf(x + 1);
}

__attribute__((weak)) __noinline int weak(struct xdp_md *ctx)
{
	int x = ctx->rx_queue_index;

	opaque(x);
	return x + 1;
}

__attribute__((visibility("hidden"))) __noinline int hidden(int *p)
{
	opaque(p);
	return p ? *p : 0;
}

// Never called: in no program.
__noinline int unused(int x)
{
	opaque(x);
	return leaf(x) + 2;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	return other(ctx->ingress_ifindex) + middle(2);
}

SEC("xdp")
int second(struct xdp_md *ctx)
{
	return middle(ctx->ingress_ifindex) + weak(ctx);
}

SEC("xdp")
int alone(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("?xdp.frags")
int optional(struct xdp_md *ctx)
{
	int x = ctx->ingress_ifindex;

	return hidden(&x);
}

SEC("socket")
int filter(void *ctx)
{
	return leaf(7);
}

char _license[] SEC("license") = "Dual BSD/GPL";
