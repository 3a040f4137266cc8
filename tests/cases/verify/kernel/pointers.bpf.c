// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What the kernel's pointers may be used for: whether they may be null, whether they are trusted, and what is read with care.
#include "kernel.h"

struct sock_common {
	unsigned short skc_family;
} TYPES;
struct sock {
	struct sock_common __sk_common;
} TYPES;
struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
} TYPES;
struct cgroup {
	struct cgroup_subsys_state self;
} TYPES;

KERNEL void *bpf_rdonly_cast(const void *address, __u32 type);
KERNEL struct task_struct *bpf_task_acquire(struct task_struct *task);
KERNEL void bpf_task_release(struct task_struct *task);
KERNEL long bpf_map_sum_elem_count(const struct bpf_map *map);
KERNEL void css_rstat_updated(struct cgroup_subsys_state *css, int cpu);

REFUSED("invalid mem access 'trusted_ptr_or_null_'") SEC("tp_btf/kfree_skb") int a_tracepoint_gives_null(__u64 *ctx)
{
	return ((struct sock *)ctx[3])->__sk_common.skc_family;
}

ACCEPTED SEC("tp_btf/kfree_skb") int a_tracepoint_gives_null_and_is_asked(__u64 *ctx)
{
	struct sock *rx = (void *)ctx[3];

	return rx ? rx->__sk_common.skc_family : 0;
}

ACCEPTED SEC("tp_btf/cgroup_mkdir") int what_lies_in_a_trusted_structure_is_trusted(__u64 *ctx)
{
	css_rstat_updated(&((struct cgroup *)ctx[0])->self, 0);
	return 0;
}

REFUSED("R1 must be referenced or trusted") SEC("tp_btf/cgroup_mkdir") int what_it_points_to_is_not(__u64 *ctx)
{
	css_rstat_updated(((struct cgroup *)ctx[0])->self.parent, 0);
	return 0;
}

ACCEPTED SEC("tp_btf/sched_switch") int an_address_in_a_structure_is_read_with_care(__u64 *ctx)
{
	char *stack = ((struct task_struct *)ctx[1])->stack;

	return stack[1000000] + stack[-1];
}

REFUSED("cannot write into rdonly_untrusted_mem") SEC("tp_btf/sched_switch") int it_is_not_written(__u64 *ctx)
{
	char *stack = ((struct task_struct *)ctx[1])->stack;

	*stack = 1;
	return 0;
}

ACCEPTED SEC("tc") int a_number_is_cast_to_an_address(void *ctx)
{
	return *(int *)bpf_rdonly_cast((void *)1234, 0);
}

ACCEPTED SEC("tc") int a_number_is_cast_to_a_structure(void *ctx)
{
	struct task_struct *task =
		bpf_rdonly_cast((void *)1234, __builtin_btf_type_id(*(struct task_struct *)0, 1));

	return task->pid;
}

REFUSED("R1 must be a rcu pointer") SEC("tc") int what_was_cast_is_not_trusted(void *ctx)
{
	struct task_struct *task =
		bpf_rdonly_cast((void *)1234, __builtin_btf_type_id(*(struct task_struct *)0, 1));

	task = bpf_task_acquire(task);
	if (task)
		bpf_task_release(task);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} map SEC(".maps");

ACCEPTED SEC("tc") int a_map_is_a_structure_of_the_kernel(void *ctx)
{
	return bpf_map_sum_elem_count((void *)&map);
}
