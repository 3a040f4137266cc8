// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Members of structures of callbacks: what they may write, and call.
#include "kernel.h"

struct sock;
struct tcp_sock {
	__u32 snd_cwnd, snd_ssthresh, max_window;
} TYPES;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u32 (*min_tso_segs)(struct sock *sk);
	char name[16];
};

static long (*get_prandom_u32)(void) = (void *)7;

ACCEPTED SEC("struct_ops") __u32 writes_the_window(__u64 *ctx)
{
	struct tcp_sock *tp = (void *)ctx[0];

	tp->snd_cwnd = 10;
	return tp->snd_ssthresh;
}

ACCEPTED SEC("struct_ops") __u32 calls_a_helper(__u64 *ctx)
{
	return get_prandom_u32();
}

REFUSED("no write support to tcp_sock") SEC("struct_ops") __u32 writes_something_else(__u64 *ctx)
{
	struct tcp_sock *tp = (void *)ctx[0];

	tp->max_window = 10;
	return 0;
}

SEC(".struct_ops.link") struct tcp_congestion_ops writing = {
	.undo_cwnd = (void *)writes_the_window,
	.name = "writing",
};
SEC(".struct_ops.link") struct tcp_congestion_ops calling = {
	.min_tso_segs = (void *)calls_a_helper,
	.name = "calling",
};
SEC(".struct_ops.link") struct tcp_congestion_ops wrong = {
	.ssthresh = (void *)writes_something_else,
	.name = "wrong",
};
