// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Locks that may not be got, several at a time; and interrupts that are saved with them.
#include "kernel.h"

struct locked {
	struct bpf_res_spin_lock lock;
	int count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct locked);
} locks SEC(".maps");

KERNEL int bpf_res_spin_lock(struct bpf_res_spin_lock *lock);
KERNEL void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock);
KERNEL int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, unsigned long *flags);
KERNEL void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, unsigned long *flags);
KERNEL void bpf_local_irq_restore(unsigned long *flags);

static const __u32 zero = 0, one = 1;

ACCEPTED SEC("tc") int counts(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);

	if (!value || bpf_res_spin_lock(&value->lock))
		return 0;
	value->count++;
	bpf_res_spin_unlock(&value->lock);
	return 0;
}

ACCEPTED SEC("tc") int takes_two(void *ctx)
{
	struct locked *a = map_lookup(&locks, &zero), *b = map_lookup(&locks, &one);

	if (!a || !b || bpf_res_spin_lock(&a->lock))
		return 0;
	if (!bpf_res_spin_lock(&b->lock))
		bpf_res_spin_unlock(&b->lock);
	bpf_res_spin_unlock(&a->lock);
	return 0;
}

REFUSED("bpf_res_spin_unlock cannot be out of order") SEC("tc") int gives_back_out_of_order(void *ctx)
{
	struct locked *a = map_lookup(&locks, &zero), *b = map_lookup(&locks, &one);

	if (!a || !b || bpf_res_spin_lock(&a->lock))
		return 0;
	if (bpf_res_spin_lock(&b->lock)) {
		bpf_res_spin_unlock(&a->lock);
		return 0;
	}
	bpf_res_spin_unlock(&a->lock);
	bpf_res_spin_unlock(&b->lock);
	return 0;
}

REFUSED("AA deadlock detected") SEC("tc") int takes_it_twice(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);

	if (!value || bpf_res_spin_lock(&value->lock))
		return 0;
	if (!bpf_res_spin_lock(&value->lock))
		bpf_res_spin_unlock(&value->lock);
	bpf_res_spin_unlock(&value->lock);
	return 0;
}

REFUSED("bpf_res_spin_unlock without taking a lock") SEC("tc") int does_not_ask(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);

	if (!value)
		return 0;
	bpf_res_spin_lock(&value->lock);
	bpf_res_spin_unlock(&value->lock);
	return 0;
}

REFUSED("function calls are not allowed while holding a lock") SEC("tc") int calls_under_it(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);

	if (!value || bpf_res_spin_lock(&value->lock))
		return 0;
	ktime();
	bpf_res_spin_unlock(&value->lock);
	return 0;
}

REFUSED("cannot be used inside") SEC("tc") int keeps_it(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);

	if (value)
		return bpf_res_spin_lock(&value->lock) ? 1 : 2;
	return 0;
}

ACCEPTED SEC("tc") int saves_interrupts(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);
	unsigned long flags;

	if (!value || bpf_res_spin_lock_irqsave(&value->lock, &flags))
		return 0;
	value->count++;
	bpf_res_spin_unlock_irqrestore(&value->lock, &flags);
	return 0;
}

REFUSED("bpf_res_spin_unlock of different lock") SEC("tc") int restores_by_the_wrong_name(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);
	unsigned long flags;

	if (!value || bpf_res_spin_lock_irqsave(&value->lock, &flags))
		return 0;
	bpf_res_spin_unlock(&value->lock);
	bpf_local_irq_restore(&flags);
	return 0;
}

REFUSED("expected an initialized irq flag") SEC("tc") int restores_what_was_not_saved(void *ctx)
{
	struct locked *value = map_lookup(&locks, &zero);
	unsigned long flags;

	if (!value)
		return 0;
	if (bpf_res_spin_lock_irqsave(&value->lock, &flags)) {
		bpf_local_irq_restore(&flags);
		return 0;
	}
	bpf_res_spin_unlock_irqrestore(&value->lock, &flags);
	return 0;
}
