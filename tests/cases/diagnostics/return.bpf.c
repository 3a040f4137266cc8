// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A beginner returns what programs of this kind must not return.
#include "bpf.h"

SEC("cgroup/connect4")
int neither(void *ctx)
{
	return 2;
}

SEC("cgroup_skb/egress")
int anything(void *ctx)
{
	return bpf_get_prandom_u32();
}

char _license[] SEC("license") = "GPL";
