// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The other half of a program: it defines what `first.bpf.c` declares, and counts its own runs.
#include "shared.h"

struct detail {
	__u64 since;
	struct state *owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct state);
} states SEC(".maps");

// In the first half a variable of another size is in front of these.
long long wide = 0x0102030405060708;
int limit = 1000;
const volatile int factor = 2;
extern int runs;
struct detail last;
static int calls;
static const int table[2] = { 5, 6 };

static __noinline int adjust(int value)
{
	opaque(value);
	return value ^ calls;
}

int scale(int value)
{
	last.since = value;
	calls++;
	return adjust(value) + table[value & 1];
}

int policy(int value)
{
	opaque(value);
	return value & 1;
}

SEC("xdp")
int second(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 one = runs + wide;

	bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
	return policy(scale(calls));
}

SEC("socket")
int alone(void *ctx)
{
	return calls;
}

char _license[] SEC("license") = "Dual MIT/GPL";
