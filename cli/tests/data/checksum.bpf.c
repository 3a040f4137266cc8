// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A program that is not Linux's: a host lends it a buffer (kind `raw_memory`), r1 is its address and
// r2 its length. It computes the Internet checksum (RFC 1071) of the buffer and returns it.
#include "../../../examples/include/bpf.h"
#include "../../../examples/include/net.h"

SEC("buffer")
__u64 checksum(const __u8 *bytes, __u64 length)
{
	__u64 sum = 0;
	for (__u64 i = 0; i < length; i++)
		sum += i & 1 ? bytes[i] : (__u64)bytes[i] << 8;
	return fold_checksum(sum);
}

char _license[] SEC("license") = "Dual MIT/GPL";
