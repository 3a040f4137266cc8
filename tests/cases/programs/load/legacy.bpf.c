// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Maps as they were defined before BTF: structures in section `maps`.
#include "bpf.h"

struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

struct bpf_map_def SEC("maps") packets = { BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(__u64), 4, 0 };
struct bpf_map_def SEC("maps") flows = { BPF_MAP_TYPE_HASH, 16, 8, 1024, 1 };

SEC("xdp")
int legacy(struct xdp_md *ctx)
{
	__u64 key[2] = { ctx->ingress_ifindex, 0 };
	__u32 zero = 0;
	__u64 *packet = bpf_map_lookup_elem(&packets, &zero);
	__u64 *flow = bpf_map_lookup_elem(&flows, key);

	if (packet)
		*packet += 1;
	if (flow)
		*flow += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Proprietary";
