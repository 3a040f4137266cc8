// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Types of a kernel that knows the structures of struct_ops.bpf.c: its members are others, and stand in
// another order.
#include "bpf.h"

struct socket_ops {
	__u32 flags;
	__u64 spare;
	void (*drop)(__u32 socket);
	__u32 (*pick)(__u32 socket);
	char name[8];
	void *owner;
};

struct bpf_struct_ops_socket_ops {
	__u32 refcnt;
	__u32 state;
	__u64 padding;
	struct socket_ops data;
};

struct bpf_struct_ops_socket_ops value;
