/* Compute work: CRC-32 of 64 bytes with a table of sixteen constants. */
#include "bench.h"

static const u32 table[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

SEC("xdp") int compute_crc(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	u32 crc = ~0u;

	for (int i = 0; i < 64; i++) {
		if (p + 1 > end)
			break;
		u8 b = *p++;
		crc = table[(crc ^ b) & 15] ^ crc >> 4;
		crc = table[(crc ^ b >> 4) & 15] ^ crc >> 4;
	}
	return (int)(~crc & 0x7fffffff);
}
