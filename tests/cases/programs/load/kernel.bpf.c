// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What the kernel has, for the tests of externs: its BTF is taken for a kernel's.

struct counter {
	long value;
};

int kernel_number = 1;
struct counter kernel_counter = { 1 };
int kernel_wrong = 1;

int kernel_add(int a, int b)
{
	return a + b;
}
