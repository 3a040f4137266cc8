// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Functions that call within their own section, and exception callbacks.
#include "bpf.h"

// Static and called: a subprogram, though not in `.text`. libbpf refuses it, other loaders do not.
SEC("xdp")
static __noinline int near(int x)
{
	opaque(x);
	return x + 1;
}

// Static and never called: it cannot be loaded.
SEC("xdp")
__attribute__((used)) static int alone(struct xdp_md *ctx)
{
	return ctx->rx_queue_index;
}

SEC("xdp")
__noinline int callee(struct xdp_md *ctx)
{
	opaque(ctx);
	return near(ctx->rx_queue_index);
}

SEC("xdp")
int caller(struct xdp_md *ctx)
{
	return callee(ctx) + near(2);
}

__noinline int handler(__u64 cookie)
{
	opaque(cookie);
	return cookie + 1;
}

__noinline int second_handler(__u64 cookie)
{
	opaque(cookie);
	return cookie + 2;
}

__attribute__((visibility("hidden"))) __noinline int hidden_handler(__u64 cookie)
{
	opaque(cookie);
	return cookie + 3;
}

static __noinline int sub(int x)
{
	opaque(x);
	return x * 5;
}

#define catch_with(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

SEC("xdp.frags")
catch_with(handler) int caught(struct xdp_md *ctx)
{
	return sub(ctx->rx_queue_index);
}

SEC("xdp.frags")
catch_with(handler) catch_with(second_handler) int caught_twice(struct xdp_md *ctx)
{
	return sub(ctx->rx_queue_index);
}

SEC("xdp.frags")
catch_with(nobody) int caught_by_nobody(struct xdp_md *ctx)
{
	return ctx->rx_queue_index;
}

SEC("xdp.frags")
catch_with(hidden_handler) int caught_in_secret(struct xdp_md *ctx)
{
	return ctx->rx_queue_index;
}

char _license[] SEC("license") = "GPL";
