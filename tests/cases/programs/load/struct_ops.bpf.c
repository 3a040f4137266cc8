// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Structures of callbacks for the kernel: values, programs, and one that is made only when asked for.
#include "bpf.h"

struct socket_ops___flavour {
	__u32 (*pick)(__u32 socket);
	void (*drop)(__u32 socket);
	__u32 flags;
	char name[8];
	void *owner;
};

SEC("struct_ops/pick")
__u32 pick(__u64 *ctx)
{
	return (__u32)ctx[0];
}

SEC("struct_ops.s/drop")
void drop(__u64 *ctx)
{
	opaque(ctx);
}

SEC("?struct_ops")
__u32 optional(__u64 *ctx)
{
	return 1;
}

SEC("struct_ops")
__u32 unused(__u64 *ctx)
{
	return 2;
}

SEC(".struct_ops")
struct socket_ops___flavour plain = {
	.pick = (void *)pick,
	.drop = (void *)drop,
	.flags = 7,
	.name = "plain",
};

SEC(".struct_ops.link")
struct socket_ops___flavour linked = {
	.pick = (void *)pick,
	.name = "linked",
};

SEC("?.struct_ops.link")
struct socket_ops___flavour asked_for = {
	.pick = (void *)unused,
	.drop = (void *)drop,
};

__u32 counter;

char _license[] SEC("license") = "GPL";
