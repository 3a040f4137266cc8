// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What the examples of the pages need of a kernel: its BTF is taken for a kernel's when tests verify them.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int pid_t;

struct bpf_iter_num {
	u64 opaque[1];
} __attribute__((aligned(8)));

struct task_struct {
	pid_t pid, tgid;
	struct task_struct *real_parent;
	u32 flags;
};

struct xdp_buff {
	void *data;
};

struct sk_buff {
	u32 len;
};

struct pt_regs {
	u64 r[21];
};

struct task_struct init_task;
struct xdp_buff xdp;
struct sk_buff skb;
struct pt_regs regs;

int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end)
{
	return 0;
}

int *bpf_iter_num_next(struct bpf_iter_num *it)
{
	return 0;
}

void bpf_iter_num_destroy(struct bpf_iter_num *it)
{
}

void bpf_rcu_read_lock(void)
{
}

void bpf_rcu_read_unlock(void)
{
}

void bpf_preempt_disable(void)
{
}

void bpf_preempt_enable(void)
{
}

struct task_struct *bpf_task_from_pid(int pid)
{
	return 0;
}

void bpf_task_release(struct task_struct *task)
{
}

int vfs_read(u64 file, u64 count)
{
	return 0;
}

// Two structures of one name: a suffix of three underscores and more does not count.
struct twice___first {
	int value;
} first;

struct twice___second {
	int value[3];
} second;

struct once {
	int value;
} once;

int unknown_to_brolga(void)
{
	return 0;
}
