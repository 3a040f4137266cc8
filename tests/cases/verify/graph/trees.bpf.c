// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Trees of objects that programs allocate, and references to those.
#include "graph.h"

struct item {
	long key;
	struct bpf_list_node list;
	struct bpf_rb_node tree;
	struct bpf_refcount count;
};

struct leaf {
	long key;
	struct bpf_rb_node tree;
};

__private(items) struct bpf_spin_lock lock;
__private(items) struct bpf_rb_root tree __contains(item, tree);
__private(items) struct bpf_list_head list __contains(item, list);
__private(leaves) struct bpf_spin_lock leaf_lock;
__private(leaves) struct bpf_rb_root leaves __contains(leaf, tree);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct item, tree)->key < container_of(b, struct item, tree)->key;
}

CLASSIFIER(ACCEPTED, add_many)
{
	for (int i = 0; i < 16; i++) {
		struct item *item = bpf_obj_new(struct item);

		if (!item)
			break;
		item->key = i;
		spin_lock(&lock);
		bpf_rbtree_add(&tree, &item->tree, less);
		spin_unlock(&lock);
	}
	return 0;
}

CLASSIFIER(ACCEPTED, in_both)
{
	struct item *item = bpf_obj_new(struct item), *same;

	if (!item)
		return 0;
	// The program owns it, so there is another reference.
	same = bpf_refcount_acquire(item);
	spin_lock(&lock);
	bpf_rbtree_add(&tree, &item->tree, less);
	bpf_list_push_back(&list, &same->list);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(ACCEPTED, search)
{
	struct bpf_rb_node *node;
	long key = 0;

	spin_lock(&lock);
	node = bpf_rbtree_root(&tree);
	for (int i = 0; i < 5 && node; i++) {
		key = container_of(node, struct item, tree)->key;
		node = key > 7 ? bpf_rbtree_left(&tree, node) : bpf_rbtree_right(&tree, node);
	}
	spin_unlock(&lock);
	return key & 1;
}

CLASSIFIER(ACCEPTED, remove_the_first)
{
	struct bpf_rb_node *node;

	spin_lock(&lock);
	node = bpf_rbtree_first(&tree);
	if (node)
		node = bpf_rbtree_remove(&tree, node);
	spin_unlock(&lock);
	if (node)
		bpf_obj_drop(container_of(node, struct item, tree));
	return 0;
}

CLASSIFIER(ACCEPTED, remove_by_a_reference)
{
	struct item *item = bpf_obj_new(struct item), *same;
	struct bpf_rb_node *node;

	if (!item)
		return 0;
	same = bpf_refcount_acquire(item);
	spin_lock(&lock);
	bpf_rbtree_add(&tree, &item->tree, less);
	node = bpf_rbtree_remove(&tree, &same->tree);
	spin_unlock(&lock);
	bpf_obj_drop(same);
	if (node)
		bpf_obj_drop(container_of(node, struct item, tree));
	return 0;
}

CLASSIFIER(ACCEPTED, keep_the_first)
{
	struct item *item = NULL;
	struct bpf_rb_node *node;
	long key;

	spin_lock(&lock);
	node = bpf_rbtree_first(&tree);
	if (node)
		item = bpf_refcount_acquire(container_of(node, struct item, tree));
	spin_unlock(&lock);
	if (!item)
		return 0;
	key = item->key;
	bpf_obj_drop(item);
	return key & 1;
}

CLASSIFIER(REFUSED("null-pointer", "invalid mem access 'rcu_ptr_or_null_'"), keep_without_looking)
{
	struct item *item = bpf_obj_new(struct item), *same;

	if (!item)
		return 0;
	spin_lock(&lock);
	bpf_rbtree_add(&tree, &item->tree, less);
	spin_unlock(&lock);
	spin_lock(&lock);
	same = (void *)bpf_rbtree_first(&tree);
	same->key = 1;
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("reference", "Unreleased reference"), acquire_and_forget)
{
	struct item *item = bpf_obj_new(struct item), *same;

	if (!item)
		return 0;
	same = bpf_refcount_acquire(item);
	bpf_obj_drop(item);
	return same->key & 1;
}

CLASSIFIER(REFUSED("special-field", "doesn't point to a type with bpf_refcount field"), acquire_what_is_not_counted)
{
	struct leaf *leaf = bpf_obj_new(struct leaf), *same;

	if (!leaf)
		return 0;
	same = bpf_refcount_acquire(leaf);
	bpf_obj_drop(leaf);
	bpf_obj_drop(same);
	return 0;
}

CLASSIFIER(REFUSED("argument-type", "can only take non-owning or refcounted bpf_rb_node pointer"), remove_what_was_never_in_it)
{
	__u64 nothing[4] = {};
	struct bpf_rb_node *node;

	asm volatile("" : : "r"(nothing) : "memory");
	spin_lock(&lock);
	node = bpf_rbtree_remove(&tree, (struct bpf_rb_node *)nothing);
	spin_unlock(&lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("special-field", "expects arg#1 bpf_rb_node at offset=32 in struct item"), remove_from_another_tree)
{
	struct bpf_rb_node *node;

	spin_lock(&lock);
	node = bpf_rbtree_first(&tree);
	spin_unlock(&lock);
	spin_lock(&leaf_lock);
	node = bpf_rbtree_first(&leaves);
	spin_unlock(&leaf_lock);
	struct leaf *leaf = bpf_obj_new(struct leaf);

	if (!leaf)
		return node != NULL;
	spin_lock(&lock);
	bpf_rbtree_add(&tree, &leaf->tree, less);
	spin_unlock(&lock);
	return 0;
}

static bool unlocks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	spin_unlock(&lock);
	return 0;
}

static bool adds(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_rbtree_add(&tree, a, less);
	return 0;
}

static bool removes(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return bpf_rbtree_remove(&tree, a) != NULL;
}

static bool keeps(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return bpf_refcount_acquire(container_of(a, struct item, tree)) != NULL;
}

static bool draws_lots(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return bpf_get_prandom_u32() & 1;
}

static bool writes(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	container_of(a, struct item, tree)->key = 1;
	return 0;
}

#define COMPARED(verdict, name, compare)                           \
	CLASSIFIER(verdict, name)                                  \
	{                                                          \
		struct item *item = bpf_obj_new(struct item);      \
                                                                   \
		if (!item)                                         \
			return 0;                                  \
		spin_lock(&lock);                                  \
		bpf_rbtree_add(&tree, &item->tree, compare);       \
		spin_unlock(&lock);                                \
		return 0;                                          \
	}

COMPARED(ACCEPTED, compare_and_write, writes)
COMPARED(REFUSED("lock", "can't spin_{lock,unlock} in rbtree cb"), compare_and_unlock, unlocks)
COMPARED(REFUSED("argument-type", "arg#1 expected pointer to allocated object"), compare_and_add, adds)
COMPARED(REFUSED("callback", "bpf_rbtree_remove not allowed in rbtree cb"), compare_and_remove, removes)
COMPARED(REFUSED("reference", "Unreleased reference"), compare_and_keep, keeps)
COMPARED(REFUSED("lock", "function calls are not allowed while holding a lock"), compare_by_lot, draws_lots)

char _license[] SEC("license") = "GPL";
