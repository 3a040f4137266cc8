// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Functions that are called later: by timers, which cannot sleep, and by work, which can.
#include "kernel.h"

struct with_work {
	struct bpf_wq work;
	char byte;
};
struct with_timer {
	struct bpf_timer timer;
	char byte;
};
struct with_task_work {
	struct bpf_task_work work;
	char byte;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct with_work);
} works SEC(".maps"), others SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct with_timer);
} timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct with_task_work);
} task_works SEC(".maps"), other_task_works SEC(".maps");

KERNEL int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags);
KERNEL int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *, int *, void *), unsigned int flags,
				    void *aux);
KERNEL int bpf_wq_start(struct bpf_wq *wq, unsigned int flags);
KERNEL int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *work, void *map,
					      int (*callback)(struct bpf_map *, void *, void *), void *aux);

static const __u32 first = 0;

static int sleeps(void *map, int *key, struct with_work *value)
{
	copy_from_user(&value->byte, 1, (void *)1);
	return 0;
}

static int gives_one(void *map, int *key, void *value)
{
	return 1;
}

static int timer_sleeps(void *map, int *key, struct with_timer *value)
{
	copy_from_user(&value->byte, 1, (void *)1);
	return 0;
}

static int task_work_sleeps(struct bpf_map *map, void *key, void *value)
{
	copy_from_user(value + sizeof(struct bpf_task_work), 1, (void *)1);
	return 7;
}

ACCEPTED SEC("tc") int work_may_sleep(void *ctx)
{
	struct with_work *value = map_lookup(&works, &first);

	if (!value || bpf_wq_init(&value->work, &works, 0))
		return 0;
	bpf_wq_set_callback_impl(&value->work, (void *)sleeps, 0, 0);
	bpf_wq_start(&value->work, 0);
	return 0;
}

REFUSED("doesn't match map pointer") SEC("tc") int work_of_another_map(void *ctx)
{
	struct with_work *value = map_lookup(&works, &first);

	if (value)
		bpf_wq_init(&value->work, &others, 0);
	return 0;
}

REFUSED("off 8 doesn't point to 'struct bpf_wq' that is at 0") SEC("tc") int work_beside_it(void *ctx)
{
	struct with_work *value = map_lookup(&works, &first);

	if (value)
		bpf_wq_init((void *)value + 8, &works, 0);
	return 0;
}

REFUSED("arg#0 doesn't point to a map value") SEC("tc") int work_on_the_stack(void *ctx)
{
	struct bpf_wq work = {};

	bpf_wq_init(&work, &works, 0);
	return 0;
}

REFUSED("should have been in [0, 0]") SEC("tc") int work_gives_nothing_but_0(void *ctx)
{
	struct with_work *value = map_lookup(&works, &first);

	if (value)
		bpf_wq_set_callback_impl(&value->work, gives_one, 0, 0);
	return 0;
}

REFUSED("helper call might sleep in a non-sleepable prog") SEC("syscall") int timers_do_not_sleep(void *ctx)
{
	struct with_timer *value = map_lookup(&timers, &first);

	if (value)
		timer_set_callback(&value->timer, timer_sleeps);
	return 0;
}

ACCEPTED SEC("tp_btf/sched_switch") int task_work_may_sleep(__u64 *ctx)
{
	struct with_task_work *value = map_lookup(&task_works, &first);

	if (value)
		bpf_task_work_schedule_signal_impl((void *)ctx[1], &value->work, &task_works, task_work_sleeps, 0);
	return 0;
}

REFUSED("doesn't match map pointer") SEC("tp_btf/sched_switch") int task_work_of_another_map(__u64 *ctx)
{
	struct with_task_work *value = map_lookup(&task_works, &first);

	if (value)
		bpf_task_work_schedule_signal_impl((void *)ctx[1], &value->work, &other_task_works, task_work_sleeps,
						   0);
	return 0;
}
