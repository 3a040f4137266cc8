// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner reads a header that the packet may not have; and checks one, but reads the next.
#include "net.h"

struct ethhdr {
	__u8 h_dest[6], h_source[6];
	__be16 h_proto;
} __attribute__((packed));

struct iphdr {
	__u8 ihl_version, tos;
	__be16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__sum16 check;
	__be32 saddr, daddr;
};

SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if (eth->h_proto == bpf_htons(ETHERTYPE_IPV6))
		return XDP_DROP;
	return XDP_PASS;
}

SEC("xdp")
int checked_too_little(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(eth + 1) > data_end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETHERTYPE_IPV4))
		return XDP_PASS;
	return ip->protocol == PROTOCOL_UDP ? XDP_DROP : XDP_PASS;
}
