// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Named zeroed data, which libbpf before 1.2 does not know.
#include "bpf.h"

__u64 named_bss SEC(".bss.named");

SEC("xdp")
int bss(struct xdp_md *ctx)
{
	named_bss++;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
