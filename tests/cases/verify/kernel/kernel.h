// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What the cases need of the kernel's own types and functions, and the words that say what is expected of a program.
#ifndef CASES_KERNEL_H
#define CASES_KERNEL_H

#include "bpf.h"

// Whether the program is accepted; what its refusal says.
#define ACCEPTED __attribute__((btf_decl_tag("accepted")))
#define REFUSED(message) __attribute__((btf_decl_tag("refused: " message)))

#define KERNEL extern __attribute__((section(".ksyms")))
#define TYPES __attribute__((preserve_access_index))

char LICENSE[] SEC("license") = "GPL";

enum { MAP_RINGBUF = 27 };

struct bpf_timer { __u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_wq { __u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_task_work { __u64 opaque; } __attribute__((aligned(8)));
struct bpf_res_spin_lock { __u32 value; };
struct bpf_dynptr { __u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_iter_task { __u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_map { __u32 id; } TYPES;

struct task_struct {
	int pid;
	void *stack;
	struct task_struct *real_parent;
} TYPES;

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static __u64 (*ktime)(void) = (void *)5;
static long (*skb_pull_data)(void *skb, __u32 len) = (void *)39;
static long (*copy_from_user)(void *dst, __u32 size, const void *from) = (void *)148;
static struct task_struct *(*current_task)(void) = (void *)158;
static long (*timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static void *(*task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*dynptr_from_mem)(void *data, __u32 size, __u64 flags, struct bpf_dynptr *made) = (void *)197;
static long (*ringbuf_reserve_dynptr)(void *map, __u32 size, __u64 flags, struct bpf_dynptr *made) = (void *)198;
static void (*ringbuf_submit_dynptr)(struct bpf_dynptr *dynptr, __u64 flags) = (void *)199;
static long (*dynptr_write)(struct bpf_dynptr *to, __u32 off, void *from, __u32 len, __u64 flags) = (void *)202;

#endif
