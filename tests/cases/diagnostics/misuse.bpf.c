// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Things that are used in a way that they are not for: records that were given back, numbers below 0, comparisons that
// show nothing, maps and fields of another kind.
#include "bpf.h"

struct record {
	__u32 length;
	__u32 queue;
};

struct value {
	__s32 index;
	__u8 slots[16];
};

struct {
	__uint(type, 27); // BPF_MAP_TYPE_RINGBUF
	__uint(max_entries, 4096);
} records SEC(".maps");

struct {
	__uint(type, 22); // BPF_MAP_TYPE_QUEUE
	__uint(max_entries, 16);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct value);
} values SEC(".maps");

static void *(*const bpf_ringbuf_reserve)(void *map, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *record, __u64 flags) = (void *)132;
static long (*const bpf_loop)(__u32 rounds, void *each, void *arg, __u64 flags) = (void *)181;

SEC("xdp")
int used_after_submit(struct xdp_md *ctx)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record)
		return XDP_PASS;
	record->length = 4;
	bpf_ringbuf_submit(record, 0);
	record->queue = ctx->rx_queue_index;
	return XDP_PASS;
}

static long each(__u32 round, void *arg)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (record)
		record->length = round;
	return 0;
}

SEC("xdp")
int lost_in_callback(struct xdp_md *ctx)
{
	bpf_loop(4, each, NULL, 0);
	return XDP_PASS;
}

SEC("xdp")
int below_zero(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct value *value = bpf_map_lookup_elem(&values, &key);
	__s32 index;

	if (!value)
		return XDP_PASS;
	index = value->index;
	if (index < 16)
		value->slots[index] = 1;
	return XDP_PASS;
}

SEC("xdp")
int other_way(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *data_end = (void *)(long)ctx->data_end;

	if (data + 4 < data_end)
		return XDP_PASS;
	return data[3];
}

SEC("xdp")
int too_far(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *data_end = (void *)(long)ctx->data_end;
	__u16 length;
	__u8 *next;

	if (data + 2 > data_end)
		return XDP_PASS;
	length = *(__u16 *)data;
	next = data + length;
	if (next + 1 > data_end)
		return XDP_PASS;
	return *next;
}

SEC("xdp")
int too_many_rounds(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *data_end = (void *)(long)ctx->data_end;
	__u32 sum = 0;

	if (data + 14 > data_end)
		return XDP_PASS;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 20; i++)
		sum += data[i];
	return sum > 100 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int no_keys(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&queue, &key) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int no_ring_buffer(struct xdp_md *ctx)
{
	return bpf_ringbuf_reserve(&values, 8, 0) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int not_to_write(struct xdp_md *ctx)
{
	ctx->rx_queue_index = 4;
	return XDP_PASS;
}

__noinline int apart(struct value *value)
{
	return value->index > 4;
}

SEC("xdp")
int calls_apart(struct xdp_md *ctx)
{
	struct value value = {};

	return apart(&value) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
