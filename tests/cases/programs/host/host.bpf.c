// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Calls of host functions, right and wrong. `tests/tests/host_functions.rs` has the functions.
#include "bpf.h"

struct pair {
	__u32 a, b;
};

extern __u64 host_sum(const void *data, __u32 data__sz) __ksym;
extern void host_fill(void *data, __u64 data__sz, __u8 value) __ksym;
extern signed char host_narrow(signed char a, __u16 b, int c) __ksym;
extern __u16 host_short(__u64 x) __ksym;
extern void host_swap(struct pair *pair) __ksym;
extern __u64 host_context(struct xdp_md *ctx) __ksym;
extern __u64 host_nothing(void) __ksym;
extern __u64 host_sum___other(const void *data, __u32 data__sz) __ksym;
extern __u64 host_absent(void) __ksym __weak;
extern __u64 host_unlike(__u32 x) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[4]);
} values SEC(".maps");

const volatile __u64 constant = 5;

SEC("xdp")
int sum_of_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 16 > end)
		return -1;
	return host_sum(data, 16) + host_sum___other(data + 1, 3);
}

SEC("xdp")
int fill_stack(struct xdp_md *ctx)
{
	__u8 buffer[32] = {};
	__u64 sum = 0;
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	buffer[31] = 9;
	host_fill(buffer + 8, 16, 3);
	for (int i = 0; i < 32; i++)
		sum += buffer[i] * i;
	if (!value)
		return -1;
	value[1] = 1;
	host_fill(value, sizeof(*value), 1);
	sum += value[0] + value[1];
	host_fill(buffer, 0, 7);
	return sum + buffer[0];
}

SEC("xdp")
int narrow(struct xdp_md *ctx)
{
	__u64 x = 0x1234567890abcdeful;
	long result;

	opaque(x);
	// -17 + 0xcdef - 1867789841: the low bits of each.
	result = host_narrow(x, x, x);
	result = result * 100000 + host_short(x);
	return (unsigned long)result % 1000003;
}

SEC("xdp")
int swap(struct xdp_md *ctx)
{
	struct pair pair = { 1, 2 };

	host_swap(&pair);
	return pair.a * 10 + pair.b;
}

SEC("xdp")
int context(struct xdp_md *ctx)
{
	return host_context(ctx) + host_nothing();
}

SEC("xdp")
int absent(struct xdp_md *ctx)
{
	if (bpf_ksym_exists(host_absent))
		return host_absent();
	return 7;
}

SEC("xdp")
int wrong_bounds(struct xdp_md *ctx)
{
	__u8 buffer[8] = {};

	return host_sum(buffer, 9);
}

SEC("xdp")
int wrong_length(struct xdp_md *ctx)
{
	__u8 buffer[8] = {};

	return host_sum(buffer, ctx->rx_queue_index);
}

SEC("xdp")
int wrong_packet(struct xdp_md *ctx)
{
	return host_sum((void *)(long)ctx->data, 1);
}

SEC("xdp")
int wrong_pointer(struct xdp_md *ctx)
{
	return host_sum((void *)4096, 1);
}

SEC("xdp")
int wrong_null(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;

	return host_sum(bpf_map_lookup_elem(&values, &key), 8);
}

SEC("xdp")
int wrong_scalar(struct xdp_md *ctx)
{
	return host_short((long)ctx);
}

SEC("xdp")
int wrong_context(struct xdp_md *ctx)
{
	return host_context((void *)ctx + 4);
}

SEC("xdp")
int wrong_constant(struct xdp_md *ctx)
{
	host_fill((void *)&constant, 8, 1);
	return 0;
}

SEC("xdp")
int wrong_prototype(struct xdp_md *ctx)
{
	return host_unlike(1);
}
