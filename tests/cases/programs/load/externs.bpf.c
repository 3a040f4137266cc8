// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Externs of all kinds. `kernel.bpf.c` and `module.bpf.c` stand for the kernel that defines them.
#include "bpf.h"

#define IN(name) __attribute__((section(name)))
#define WEAK __attribute__((weak))

enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };

extern int LINUX_KERNEL_VERSION IN(".kconfig");
extern _Bool LINUX_HAS_BPF_COOKIE IN(".kconfig");
extern _Bool LINUX_HAS_WHAT_NOBODY_KNOWS IN(".kconfig") WEAK;
extern unsigned long CONFIG_BASE IN(".kconfig") WEAK;
extern short CONFIG_SHORT IN(".kconfig") WEAK;
extern char CONFIG_NAME[10] IN(".kconfig") WEAK;
extern char CONFIG_LETTER IN(".kconfig") WEAK;
extern _Bool CONFIG_YES IN(".kconfig") WEAK;
extern enum libbpf_tristate CONFIG_MODULE IN(".kconfig") WEAK;
extern unsigned int CONFIG_HZ IN(".kconfig");

struct counter {
	long value;
};

extern const int kernel_number IN(".ksyms");
extern const struct counter kernel_counter IN(".ksyms");
extern const int module_number IN(".ksyms");
extern const long missing_number IN(".ksyms") WEAK;
extern const int strong_missing_number IN(".ksyms");
extern const struct counter kernel_wrong IN(".ksyms");
extern const void start_of_kernel IN(".ksyms");
extern const void missing_symbol IN(".ksyms") WEAK;
extern const void twice IN(".ksyms");

extern int kernel_add(int a, int b) IN(".ksyms");
extern int kernel_add___v2(int a, int b) IN(".ksyms");
extern int kernel_add___wrong(struct counter *a) IN(".ksyms") WEAK;
extern int module_add(int a, int b) IN(".ksyms");
extern int missing_add(int a, int b) IN(".ksyms") WEAK;
extern int strong_missing_add(int a, int b) IN(".ksyms");

volatile unsigned long out;

SEC("xdp")
int config(struct xdp_md *ctx)
{
	out = LINUX_KERNEL_VERSION;
	out = LINUX_HAS_BPF_COOKIE;
	out = LINUX_HAS_WHAT_NOBODY_KNOWS;
	out = CONFIG_BASE;
	out = CONFIG_SHORT;
	out = CONFIG_NAME[3];
	out = CONFIG_LETTER;
	out = CONFIG_YES;
	out = CONFIG_MODULE;
	return XDP_PASS;
}

SEC("xdp")
int strong_config(struct xdp_md *ctx)
{
	return CONFIG_HZ;
}

SEC("xdp")
int variables(struct xdp_md *ctx)
{
	out = (unsigned long)&kernel_number;
	out = (unsigned long)&kernel_counter;
	out = (unsigned long)&module_number;
	out = (unsigned long)&missing_number;
	return XDP_PASS;
}

SEC("xdp")
int strong_variable(struct xdp_md *ctx)
{
	return strong_missing_number;
}

SEC("xdp")
int wrong_variable(struct xdp_md *ctx)
{
	return kernel_wrong.value;
}

SEC("xdp")
int symbols(struct xdp_md *ctx)
{
	out = (unsigned long)&start_of_kernel;
	out = (unsigned long)&missing_symbol;
	return XDP_PASS;
}

SEC("xdp")
int ambiguous_symbol(struct xdp_md *ctx)
{
	out = (unsigned long)&twice;
	return XDP_PASS;
}

SEC("xdp")
int functions(struct xdp_md *ctx)
{
	out = kernel_add(1, 2);
	out = kernel_add___v2(3, 4);
	out = module_add(5, 6);
	return XDP_PASS;
}

SEC("xdp")
int weak_functions(struct xdp_md *ctx)
{
	if (missing_add)
		out = missing_add(1, 2);
	if (kernel_add___wrong)
		out = kernel_add___wrong(0);
	return XDP_PASS;
}

SEC("xdp")
int strong_function(struct xdp_md *ctx)
{
	return strong_missing_add(1, 2);
}
