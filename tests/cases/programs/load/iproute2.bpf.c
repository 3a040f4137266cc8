// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Maps as iproute2's loader defines them: ids say which map goes into which, and sections which program
// goes where in an array of programs.
#include "bpf.h"

#define BPF_MAP_TYPE_ARRAY_OF_MAPS 12

#define take(pointer) ({ void *taken = (pointer); opaque(taken); })

struct bpf_elf_map {
	__u32 type;
	__u32 size_key;
	__u32 size_value;
	__u32 max_elem;
	__u32 flags;
	__u32 id;
	__u32 pinning;
	__u32 inner_id;
	__u32 inner_idx;
};

struct bpf_elf_map SEC("maps") outer = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
	.size_key = 4,
	.size_value = 4,
	.max_elem = 2,
	.inner_id = 42,
};

struct bpf_elf_map SEC("maps") inner = {
	.type = BPF_MAP_TYPE_ARRAY,
	.size_key = 4,
	.size_value = 8,
	.max_elem = 3,
	.id = 42,
	.inner_idx = 1,
	.pinning = 2,
};

struct bpf_elf_map SEC("maps") jumps = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.size_key = 4,
	.size_value = 4,
	.max_elem = 4,
	.id = 1,
};

SEC("1/3")
int fourth(void *skb)
{
	return 3;
}

SEC("classifier")
int classify(void *skb)
{
	take(&outer);
	take(&inner);
	take(&jumps);
	return 0;
}

char _license[] SEC("license") = "GPL";
