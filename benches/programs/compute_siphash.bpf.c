/* Compute work: SipHash-2-4 of eight words. */
#include "bench.h"

#define rotl(x, b) ((x) << (b) | (x) >> (64 - (b)))
#define round() do { \
	v0 += v1; v1 = rotl(v1, 13); v1 ^= v0; v0 = rotl(v0, 32); \
	v2 += v3; v3 = rotl(v3, 16); v3 ^= v2; \
	v0 += v3; v3 = rotl(v3, 21); v3 ^= v0; \
	v2 += v1; v1 = rotl(v1, 17); v1 ^= v2; v2 = rotl(v2, 32); } while (0)

SEC("xdp") int compute_siphash(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);

	if (p + 64 > end)
		return XDP_ABORTED;
	u64 k0 = 0x0706050403020100ull, k1 = 0x0f0e0d0c0b0a0908ull;
	u64 v0 = k0 ^ 0x736f6d6570736575ull, v1 = k1 ^ 0x646f72616e646f6dull;
	u64 v2 = k0 ^ 0x6c7967656e657261ull, v3 = k1 ^ 0x7465646279746573ull;
	const u64 *words = (void *)p;
	for (int i = 0; i < 8; i++) {
		u64 m = words[i];
		v3 ^= m;
		round(); round();
		v0 ^= m;
	}
	v3 ^= 64ull << 56;
	round(); round();
	v0 ^= 64ull << 56;
	v2 ^= 0xff;
	round(); round(); round(); round();
	u64 hash = v0 ^ v1 ^ v2 ^ v3;
	return (int)((hash ^ hash >> 32) & 0x7fffffff);
}
