// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The kernel functions that the objects beside this call: its BTF is taken for a kernel's.
#include "types.h"

struct task_struct {
	int pid;
};

int pid_of(struct task_struct *task) { return task->pid; }

void *bpf_obj_new_impl(__u64 local_type_id__k, void *meta__ign) { return NULL; }
void *bpf_percpu_obj_new_impl(__u64 local_type_id__k, void *meta__ign) { return NULL; }
void bpf_obj_drop_impl(void *p__alloc, void *meta__ign) {}
void bpf_percpu_obj_drop_impl(void *p__alloc, void *meta__ign) {}
void *bpf_refcount_acquire_impl(void *p__refcounted_kptr, void *meta__ign) { return NULL; }

int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta__ign, __u64 off)
{
	return 0;
}
int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta__ign, __u64 off)
{
	return 0;
}
struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) { return NULL; }
struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) { return NULL; }
struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) { return NULL; }
struct bpf_list_node *bpf_list_back(struct bpf_list_head *head) { return NULL; }

int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta__ign, __u64 off)
{
	return 0;
}
struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) { return NULL; }
struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) { return NULL; }
struct bpf_rb_node *bpf_rbtree_root(struct bpf_rb_root *root) { return NULL; }
struct bpf_rb_node *bpf_rbtree_left(struct bpf_rb_root *root, struct bpf_rb_node *node) { return NULL; }
struct bpf_rb_node *bpf_rbtree_right(struct bpf_rb_root *root, struct bpf_rb_node *node) { return NULL; }

int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) { return 0; }
void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) {}

void bpf_rcu_read_lock(void) {}
void bpf_rcu_read_unlock(void) {}
