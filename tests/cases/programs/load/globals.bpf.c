// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Global data of every section that libbpf makes a map of.
#include "bpf.h"

struct config {
	__u32 mode;
	__u16 ports[3];
	__u8 on;
};

const volatile struct config config = { .mode = 7, .ports = { 1, 2, 3 }, .on = 1 };
const volatile __u64 limit = 1000;
__u64 counter = 42;
static volatile __u32 hidden_counter = 43;
__u64 total;
static volatile __u32 seen[4];
__u32 named_data SEC(".data.named") = 0x11223344;
const volatile __u32 named_rodata SEC(".rodata.named") = 0x55667788;

static __noinline int length(const char *text)
{
	opaque(text);
	return text ? text[0] + text[1] : 0;
}

SEC("xdp")
int globals(struct xdp_md *ctx)
{
	__u32 i = ctx->rx_queue_index & 3;

	counter += limit;
	hidden_counter++;
	total += config.mode + config.ports[i < 3 ? i : 0];
	seen[i]++;
	named_data ^= named_rodata;
	return length("a literal") + length("another one");
}

char _license[] SEC("license") = "GPL";
