// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Structures that Linux keeps in maps' values and in objects, of the sizes that it has given them.
#ifndef TYPES_H
#define TYPES_H

#include "bpf.h"

typedef _Bool bool;

struct bpf_spin_lock {
	__u32 val;
};
struct bpf_res_spin_lock {
	__u32 val;
} __attribute__((aligned(4)));
struct bpf_list_head {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_list_node {
	__u64 opaque[3];
} __attribute__((aligned(8)));
struct bpf_rb_root {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_rb_node {
	__u64 opaque[4];
} __attribute__((aligned(8)));
struct bpf_refcount {
	__u32 opaque[1];
} __attribute__((aligned(4)));

#endif
