// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A branch that a constant decides: a loader that sets `limit` to 0 makes it dead.
#include "bpf.h"

const volatile __u64 limit = 100;
__u64 above;

SEC("xdp")
int limited(struct xdp_md *ctx)
{
	__u64 length = ctx->data_end - ctx->data;

	if (limit) {
		if (length > limit)
			__sync_fetch_and_add(&above, length - limit);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
