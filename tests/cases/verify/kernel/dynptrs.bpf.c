// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Copies of dynptrs, parts of packets by dynptrs, and what makes those invalid.
#include "kernel.h"

struct __sk_buff { __u32 len; };

struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

KERNEL int bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *clone);
KERNEL int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *made);
KERNEL int bpf_dynptr_from_skb_meta(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *made);
KERNEL void *bpf_dynptr_slice(const struct bpf_dynptr *p, __u64 off, void *buffer, __u64 size);
KERNEL void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, __u64 off, void *buffer, __u64 size);
KERNEL int bpf_xdp_pull_data(struct xdp_md *xdp, __u32 len);

char bytes[16];

ACCEPTED SEC("tc") int a_copy_is_given_back_for_both(void *ctx)
{
	struct bpf_dynptr record, copy;

	ringbuf_reserve_dynptr(&records, 8, 0, &record);
	bpf_dynptr_clone(&record, &copy);
	ringbuf_submit_dynptr(&copy, 0);
	return 0;
}

REFUSED("Expected an initialized dynptr") SEC("tc") int a_record_is_gone_with_its_copy(void *ctx)
{
	struct bpf_dynptr record, copy;

	ringbuf_reserve_dynptr(&records, 8, 0, &record);
	bpf_dynptr_clone(&record, &copy);
	ringbuf_submit_dynptr(&copy, 0);
	ringbuf_submit_dynptr(&record, 0);
	return 0;
}

REFUSED("cannot overwrite referenced dynptr") SEC("tc") int a_copied_record_is_not_overwritten(void *ctx)
{
	struct bpf_dynptr record, copy;

	ringbuf_reserve_dynptr(&records, 8, 0, &record);
	bpf_dynptr_clone(&record, &copy);
	*(volatile char *)&record = 1;
	ringbuf_submit_dynptr(&copy, 0);
	return 0;
}

REFUSED("invalid mem access 'scalar'") SEC("tc") int a_part_is_gone_when_the_packet_moves(void *ctx)
{
	struct bpf_dynptr packet;
	char *part;

	if (bpf_dynptr_from_skb(ctx, 0, &packet))
		return 0;
	part = bpf_dynptr_slice(&packet, 0, 0, 8);
	if (!part)
		return 0;
	skb_pull_data(ctx, 10);
	return part[1];
}

REFUSED("cannot write into") SEC("tc") int a_part_is_read_only(void *ctx)
{
	struct bpf_dynptr packet;
	char *part;

	if (bpf_dynptr_from_skb(ctx, 0, &packet))
		return 0;
	part = bpf_dynptr_slice(&packet, 0, 0, 8);
	if (part)
		part[1] = 1;
	return 0;
}

ACCEPTED SEC("tc") int metadata_is_written(void *ctx)
{
	struct bpf_dynptr metadata;
	char *part;

	if (bpf_dynptr_from_skb_meta(ctx, 0, &metadata))
		return 0;
	part = bpf_dynptr_slice_rdwr(&metadata, 0, 0, 4);
	if (part)
		part[1] = 1;
	dynptr_write(&metadata, 0, bytes, 4, 0);
	return 0;
}

REFUSED("invalid mem access 'scalar'") SEC("tc") int a_write_to_metadata_may_move_it(void *ctx)
{
	struct bpf_dynptr metadata;
	char *part;

	if (bpf_dynptr_from_skb_meta(ctx, 0, &metadata))
		return 0;
	part = bpf_dynptr_slice_rdwr(&metadata, 0, 0, 4);
	if (!part)
		return 0;
	dynptr_write(&metadata, 0, bytes, 4, 0);
	part[1] = 1;
	return 0;
}

__noinline int pulls(struct xdp_md *ctx)
{
	return bpf_xdp_pull_data(ctx, 4);
}

REFUSED("invalid mem access 'scalar'") SEC("xdp") int a_global_function_moves_the_packet(struct xdp_md *ctx)
{
	char *data = (void *)(long)ctx->data;

	if (data + 4 > (char *)(long)ctx->data_end)
		return XDP_PASS;
	pulls(ctx);
	return *data & 1;
}
