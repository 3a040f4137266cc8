// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A C program with the firewall linked in, and a program that calls a function of this one. See build.sh.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "brolga.h"
#include "firewall.h"
#include "host.h"

// What `host.bpf.c` calls; host.h has the prototype.
uint32_t brolga_host_host_rate(const void *data, uint32_t len)
{
	const uint8_t *bytes = data;
	uint32_t rate = 0;

	for (uint32_t i = 0; i < len; i++)
		rate += bytes[i];
	return rate;
}

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, brolga_last_error());
	return 1;
}

int main(void)
{
	// A UDP packet from 198.51.100.66.
	uint8_t frame[60] = { [12] = 0x08, [14] = 0x45, [17] = 46, [22] = 64, 17, [26] = 198, 51, 100, 66, [39] = 26 };
	const uint8_t source[4] = { 198, 51, 100, 66 };
	uint64_t counter[2] = { 0, 0 };
	uint32_t verdict;

	brolga_runtime *runtime = brolga_runtime_new(NULL);
	brolga_instance *instance = brolga_instance_new(runtime, &brolga_v1_descriptor_firewall);
	if (!instance)
		return failed("instance");
	brolga_worker *worker = brolga_worker_new(runtime);
	brolga_program *program = brolga_program_find(instance, "firewall");
	brolga_map *blocked = brolga_map_find(instance, "blocked_v4");
	if (!worker || !program || !blocked)
		return failed("lookup");

	brolga_packet *packet = brolga_packet_new(frame, sizeof(frame));
	if (brolga_run_xdp(program, worker, packet, &verdict))
		return failed("run");
	printf("before: %u\n", verdict);

	if (brolga_map_update(blocked, source, counter, 0))
		return failed("update");
	if (brolga_run_xdp(program, worker, packet, &verdict))
		return failed("run");
	printf("after: %u\n", verdict);

	if (brolga_map_lookup(blocked, source, counter))
		return failed("lookup");
	printf("blocked: %llu packets, %llu bytes\n", (unsigned long long)counter[0], (unsigned long long)counter[1]);

	brolga_instance *host = brolga_instance_new(runtime, HOST_DESCRIPTOR);
	brolga_program *rated = host ? brolga_program_find(host, HOST_PROGRAM_RATED) : NULL;
	if (!rated || brolga_run_xdp(rated, worker, packet, &verdict))
		return failed("rated");
	printf("rated: %u\n", verdict);

	brolga_program_free(rated);
	brolga_instance_free(host);
	brolga_packet_free(packet);
	brolga_map_free(blocked);
	brolga_program_free(program);
	brolga_worker_free(worker);
	brolga_instance_free(instance);
	brolga_runtime_free(runtime);
	return 0;
}
