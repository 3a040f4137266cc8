// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner forgets to give back what was acquired, where something fails in between.
#include "bpf.h"

static void *(*const bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;

struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct event {
	__u32 queue;
	__u32 port;
};

SEC("xdp")
int leaks(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	event->queue = ctx->rx_queue_index;
	if (event->queue > 7)
		return XDP_DROP;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}
