// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A structure of a quarter of a billion members, none of which has a size: looking at all of them would take seconds.
// Do not load it into a kernel, which does look.
#include "graph.h"

struct level0 {
};
struct level1 {
	struct level0 left, right;
};
struct level2 {
	struct level1 left, right;
};
struct level3 {
	struct level2 left, right;
};
struct level4 {
	struct level3 left, right;
};
struct level5 {
	struct level4 left, right;
};
struct level6 {
	struct level5 left, right;
};
struct level7 {
	struct level6 left, right;
};
struct level8 {
	struct level7 left, right;
};
struct level9 {
	struct level8 left, right;
};
struct level10 {
	struct level9 left, right;
};
struct level11 {
	struct level10 left, right;
};
struct level12 {
	struct level11 left, right;
};
struct level13 {
	struct level12 left, right;
};
struct level14 {
	struct level13 left, right;
};
struct level15 {
	struct level14 left, right;
};
struct level16 {
	struct level15 left, right;
};
struct level17 {
	struct level16 left, right;
};
struct level18 {
	struct level17 left, right;
};
struct level19 {
	struct level18 left, right;
};
struct level20 {
	struct level19 left, right;
};
struct level21 {
	struct level20 left, right;
};
struct level22 {
	struct level21 left, right;
};
struct level23 {
	struct level22 left, right;
};
struct level24 {
	struct level23 left, right;
};
struct level25 {
	struct level24 left, right;
};
struct level26 {
	struct level25 left, right;
};
struct level27 {
	struct level26 left, right;
};
struct level28 {
	struct level27 left, right;
};

struct value {
	struct bpf_spin_lock lock;
	long count;
	struct level28 deep;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct value);
} values SEC(".maps");

CLASSIFIER(REFUSED("special-field", "map 'values' has to have BTF in order to use bpf_spin_lock"), take_the_lock)
{
	__u32 zero = 0;
	struct value *value = bpf_map_lookup_elem(&values, &zero);

	if (!value)
		return 0;
	spin_lock(&value->lock);
	spin_unlock(&value->lock);
	return 0;
}

char _license[] SEC("license") = "GPL";
