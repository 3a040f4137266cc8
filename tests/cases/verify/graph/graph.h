// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What programs with lists and trees need: types and functions of Linux, and what is expected of each program.
#ifndef GRAPH_H
#define GRAPH_H

#include "types.h"

// What the verifier says of the program.
#define ACCEPTED __attribute__((btf_decl_tag("accepted")))
#define REFUSED(code, message) __attribute__((btf_decl_tag("refused=" code "=" message)))

#define CLASSIFIER(verdict, name) \
	SEC("tc") verdict int name(struct __sk_buff *ctx)
#define SYSCALL(verdict, name) \
	SEC("syscall") verdict int name(void *ctx)

struct __sk_buff {
	__u32 len;
};
#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __private(name) SEC(".data." #name) __attribute__((visibility("hidden"), aligned(8)))
#define __ksym __attribute__((section(".ksyms")))
#define container_of(pointer, type, member) ((type *)((void *)(pointer) - __builtin_offsetof(type, member)))
#define type_id(type) __builtin_btf_type_id(*(type *)0, 0)

extern void *bpf_obj_new_impl(__u64 id, void *meta) __ksym;
extern void *bpf_percpu_obj_new_impl(__u64 id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
extern void bpf_percpu_obj_drop_impl(void *object, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *object, void *meta) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_back(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta,
			       __u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_root(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_left(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_right(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) __ksym;
extern void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

#define bpf_obj_new(type) ((type *)bpf_obj_new_impl(type_id(type), NULL))
#define bpf_percpu_obj_new(type) ((type __percpu_kptr *)bpf_percpu_obj_new_impl(type_id(type), NULL))
#define bpf_obj_drop(object) bpf_obj_drop_impl(object, NULL)
#define bpf_percpu_obj_drop(object) bpf_percpu_obj_drop_impl((void *)(object), NULL)
#define bpf_refcount_acquire(object) ((typeof(object))bpf_refcount_acquire_impl(object, NULL))
#define bpf_list_push_front(head, node) bpf_list_push_front_impl(head, node, NULL, 0)
#define bpf_list_push_back(head, node) bpf_list_push_back_impl(head, node, NULL, 0)
#define bpf_rbtree_add(root, node, less) bpf_rbtree_add_impl(root, node, less, NULL, 0)

static long (*const spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static void *(*const per_cpu_ptr)(const void *object, __u32 cpu) = (void *)153;
static void *(*const this_cpu_ptr)(const void *object) = (void *)154;
static void *(*const kptr_xchg)(void *field, void *object) = (void *)194;

#endif
