// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner forgets the licence.
#include "bpf.h"

SEC("xdp")
int prints(struct xdp_md *ctx)
{
	bpf_printk("queue %d", ctx->rx_queue_index);
	return XDP_PASS;
}
