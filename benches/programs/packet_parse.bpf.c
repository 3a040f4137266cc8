/* Packet work: parses Ethernet, up to four VLAN tags, IPv4 with options, and folds the TCP options. */
#include "bench.h"

SEC("xdp") int packet_parse(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	struct eth *eth = (void *)p;
	u32 sum = 0;

	if ((void *)(eth + 1) > (void *)end)
		return XDP_ABORTED;
	u16 proto = eth->proto;
	p += sizeof(*eth);
	for (int i = 0; i < 4; i++) {
		if (proto != swap16(0x8100) && proto != swap16(0x88a8))
			break;
		if (p + 4 > end)
			return XDP_ABORTED;
		sum += (p[0] << 8 | p[1]) & 0xfff;
		proto = *(u16 *)(p + 2);
		p += 4;
	}
	if (proto != swap16(0x0800))
		return XDP_PASS;
	struct ip4 *ip = (void *)p;
	if ((void *)(ip + 1) > (void *)end)
		return XDP_ABORTED;
	u32 ihl = (ip->ver_ihl & 15) * 4;
	if (ihl < 20 || ip->proto != 6)
		return XDP_PASS;
	sum += swap16(ip->len) + ip->ttl + swap32(ip->src) + swap32(ip->dst);
	p += ihl;
	struct tcp *tcp = (void *)p;
	if ((void *)(tcp + 1) > (void *)end)
		return XDP_ABORTED;
	sum += swap16(tcp->src) ^ swap16(tcp->dst);
	u32 left = (tcp->doff >> 4) * 4 - 20;
	u8 *opt = (void *)(tcp + 1);
	for (u32 i = 0; i < 24; i++) {
		if (i >= left || opt + 1 > end)
			break;
		sum = (sum << 5 | sum >> 27) ^ *opt++;
	}
	return (int)(sum & 0x7fffffff);
}
