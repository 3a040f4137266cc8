/* Packet work: rewrites addresses and ports of 1 flow, byte by byte access, incremental checksums. */
#include "bench.h"

inline_always u16 adjust(u16 check, u32 from, u32 to)
{
	u32 sum = (u16)~check;
	sum += (u16)~(from & 0xffff);
	sum += (u16)~(from >> 16);
	sum += (to & 0xffff) + (to >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

inline_always u32 mix(u32 a, u32 b, u32 c)
{
	for (int i = 0; i < 8; i++) {
		a -= b; a -= c; a ^= c >> 13;
		b -= c; b -= a; b ^= a << 8;
		c -= a; c -= b; c ^= b >> 13;
	}
	return c;
}

SEC("xdp") int packet_nat(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	struct eth *eth = (void *)p;
	struct ip4 *ip = (void *)(eth + 1);
	struct udp *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > (void *)end)
		return XDP_ABORTED;
	if (eth->proto != swap16(0x0800) || ip->ver_ihl != 0x45)
		return XDP_PASS;
	u32 hash = mix(ip->src, ip->dst, (u32)udp->src << 16 | udp->dst);
	u32 to = swap32(0x0a000000 | (hash & 0xffff));
	u32 from = ip->dst;
	ip->check = adjust(ip->check, from, to);
	udp->check = adjust(udp->check, from, to);
	ip->dst = to;
	u16 port = 1024 + (hash >> 16 & 0x3ff);
	udp->check = adjust(udp->check, udp->dst, swap16(port));
	udp->dst = swap16(port);
	ip->ttl--;
	ip->check = adjust(ip->check, 0x0100, 0);
	for (int i = 0; i < 6; i++) {
		u8 t = eth->dst[i];
		eth->dst[i] = eth->src[i];
		eth->src[i] = t;
	}
	return XDP_TX;
}
