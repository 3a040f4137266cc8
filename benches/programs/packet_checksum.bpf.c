/* Packet work: the Internet checksum over up to 1,500 bytes, two at a time as portable C does. */
#include "bench.h"

SEC("xdp") int packet_checksum(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	u32 sum = 0;

	for (int i = 0; i < 750; i++) {
		if (p + 2 > end)
			break;
		sum += *(u16 *)p;
		p += 2;
	}
	if (p + 1 <= end)
		sum += *p;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}
