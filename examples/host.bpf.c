// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Drops packets by what a function of the host says of them.
//
// The host gives `host_rate` to the programs that it loads. In Linux it would be a kernel function of the
// same prototype: declared weak, the program can do without it.
#include "include/bpf.h"

#define LIMIT 100
#define RATED_BYTES 60

extern __u32 host_rate(const void *bytes, __u32 bytes__sz) __ksym __weak;

SEC("xdp")
int rated(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;

	if (!bpf_ksym_exists(host_rate))
		return XDP_PASS;
	if (data + RATED_BYTES > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	return host_rate(data, RATED_BYTES) < LIMIT ? XDP_PASS : XDP_DROP;
}
