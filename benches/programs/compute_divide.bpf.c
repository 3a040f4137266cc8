/* Compute work: greatest common divisors and modular powers: division, unsigned and signed. */
#include "bench.h"

SEC("xdp") int compute_divide(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);

	if (p + 16 > end)
		return XDP_ABORTED;
	u64 a = *(u64 *)p & 0xffffffff, b = *(u64 *)(p + 8) & 0xffffffff;
	for (int i = 0; i < 48 && b; i++) {
		u64 t = a % b;
		a = b;
		b = t;
	}
	u64 base = *(u32 *)p % 1000003, result = 1, exp = *(u32 *)(p + 4);
	for (int i = 0; i < 32; i++) {
		if (exp & 1)
			result = result * base % 1000003;
		base = base * base % 1000003;
		exp >>= 1;
	}
	return (int)((a ^ result) & 0x7fffffff);
}
