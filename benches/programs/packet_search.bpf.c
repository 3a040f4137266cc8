/* Packet work: looks for a four-byte pattern in the first 512 bytes of payload. */
#include "bench.h"

SEC("xdp") int packet_search(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	int found = 0;

	for (int i = 0; i < 512; i++) {
		if (p + 4 > end)
			break;
		u32 word = (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
		if (word == 0xdeadbeef)
			found++;
		p++;
	}
	return found;
}
