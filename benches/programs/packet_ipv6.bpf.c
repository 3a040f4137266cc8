/* Packet work: walks IPv6 extension headers and folds both addresses into a flow label. */
#include "bench.h"

SEC("xdp") int packet_ipv6(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	struct eth *eth = (void *)p;
	struct ip6 *ip = (void *)(eth + 1);
	u32 flow = 0;

	if ((void *)(ip + 1) > (void *)end || eth->proto != swap16(0x86dd))
		return XDP_ABORTED;
	const u8 *src = (void *)ip->src;
	for (int i = 0; i < 32; i++)
		flow = (flow << 5 | flow >> 27) ^ src[i];
	u8 next = ip->next;
	u8 *h = (void *)(ip + 1);
	for (int i = 0; i < 8; i++) {
		if (next != 0 && next != 43 && next != 60)
			break;
		if (h + 8 > end)
			return XDP_ABORTED;
		next = h[0];
		flow += h[1] * 8 + h[2];
		u32 len = 8 + h[1] * 8;
		h += len;
	}
	if (next != 17 || h + 8 > end)
		return XDP_PASS;
	flow = flow * 0x9e3779b1 ^ ((u32)h[0] << 24 | (u32)h[1] << 16 | (u32)h[2] << 8 | h[3]);
	ip->flow = swap32(0x60000000 | (flow >> 12));
	return (int)(flow & 0x7fffffff);
}
