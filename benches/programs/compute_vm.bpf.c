/* Compute work: a small bytecode machine, a switch in a loop, over code in the packet. */
#include "bench.h"

SEC("xdp") int compute_vm(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	u32 a = 1, b = 2, c = 3;

	for (int i = 0; i < 128; i++) {
		if (p + 1 > end)
			break;
		u8 op = *p++;
		switch (op & 15) {
		case 0: a += b; break;
		case 1: b ^= c; break;
		case 2: c -= a; break;
		case 3: a = a << 3 | a >> 29; break;
		case 4: b *= 5; break;
		case 5: c += op; break;
		case 6: a ^= op >> 4; break;
		case 7: b += c >> 7; break;
		case 8: c = ~c; break;
		case 9: a -= c; break;
		case 10: b = b >> 1 | b << 31; break;
		case 11: c *= 3; break;
		case 12: a |= 1; break;
		case 13: b -= a; break;
		case 14: c ^= a >> 5; break;
		default: a += 0x9e3779b9; break;
		}
	}
	return (int)((a ^ b ^ c) & 0x7fffffff);
}
