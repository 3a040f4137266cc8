// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// One program that runs, among others that need what Brolga has not got.
#include "bpf.h"

struct {
	__uint(type, 0x7777);
	__uint(max_entries, 4096);
} strange SEC(".maps");

#define IN(name) __attribute__((section(name)))

extern int kernel_function(int x) IN(".ksyms");
extern const int kernel_variable IN(".ksyms");
extern int CONFIG_HZ IN(".kconfig");

static int first_value = 1;
int *const volatile table[] = { &first_value };

struct sk_buff {
	unsigned int len;
} __attribute__((preserve_access_index));

SEC("xdp")
int fine(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int uses_map(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&strange, &key) ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int uses_kfunc(struct xdp_md *ctx)
{
	return kernel_function(1);
}

SEC("xdp")
int uses_ksym(struct xdp_md *ctx)
{
	return kernel_variable;
}

SEC("xdp")
int uses_kconfig(struct xdp_md *ctx)
{
	return CONFIG_HZ;
}

SEC("xdp")
int uses_table(struct xdp_md *ctx)
{
	return *table[0];
}

SEC("socket")
int uses_core(struct sk_buff *skb)
{
	return skb->len;
}

SEC("my/section")
int nameless(void *ctx)
{
	return XDP_PASS;
}

SEC("struct_ops/init")
int uses_kind(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
