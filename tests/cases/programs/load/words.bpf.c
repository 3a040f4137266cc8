// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Reads words of the network's byte order, whatever order it is compiled for, and leaves bytes that are
// the same for both. Its section's name is its own: the kind is to be given.
#include "bpf.h"

struct packed {
	__u32 high : 12, low : 20;
	__u16 half;
	__u8 byte;
};

const __u32 factors[] = { 3, 5, 7, 0x01020304 };
const volatile __u16 shift = 5;
__u64 runs;

static __noinline __u32 mix(__u32 a, __u32 b)
{
	opaque(a);
	return (a ^ b) * factors[a & 3] + (a << shift);
}

SEC("buffer")
__u64 words(__u8 *memory)
{
	struct packed packed = { .byte = 1 };
	__u32 sum = 1;

	runs++;
	for (int i = 0; i < 60; i += 4) {
		__u32 word = *(volatile __u32 *)(memory + i);

		sum = mix(sum, bpf_ntohl(word));
		packed.high = sum >> 7;
		packed.low ^= sum;
		packed.half += packed.high;
		packed.byte ^= packed.low;
	}
	__sync_fetch_and_add(&runs, 1);
	*(volatile __u32 *)(memory + 60) = bpf_htonl(packed.low ^ packed.half);
	memory[3] = packed.byte;
	return ((__u64)packed.high << 32) + sum + (short)packed.half;
}
