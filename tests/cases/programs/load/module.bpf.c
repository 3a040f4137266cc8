// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What a module has, for the tests of externs: its BTF is taken for that of a module.

int module_number = 1;

int module_add(int a, int b)
{
	return a + b;
}
