/* Brolga's runtime for C: runs eBPF programs that were compiled ahead of time.
 *
 * Compile an object with `brolga compile prog.bpf.o -o prog.o`, make its header with `--emit header`, and link both
 * your program and prog.o with libbrolga_runtime_c.a (and -lpthread -ldl -lm where the system wants them).
 *
 * Functions that return a pointer give NULL on failure; those that return an int give 0 or a
 * negative errno. brolga_last_error() says what was wrong, in words. Objects are freed by the function
 * named like their type; they keep what they need of each other, so the order does not matter.
 *
 * Threads: a worker belongs to one thread at a time, everything else may be shared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a compiled object exports as brolga_v1_descriptor_NAME. */
struct brolga_descriptor;

typedef struct brolga_runtime brolga_runtime;
typedef struct brolga_worker brolga_worker;
typedef struct brolga_instance brolga_instance;
typedef struct brolga_program brolga_program;
typedef struct brolga_map brolga_map;
typedef struct brolga_keys brolga_keys;
typedef struct brolga_packet brolga_packet;

/* How a runtime is made. */
typedef struct brolga_options {
    /* CPU slots: workers that may exist at a time, and values of an element of a per-CPU map. */
    uint32_t cpus;
    /* Takes what bpf_trace_printk prints, which is not NUL-terminated; may be NULL. Called by any worker's thread. */
    void (*trace)(void *user, const char *text, size_t len);
    /* Handed to trace. */
    void *user;
} brolga_options;

/* What went wrong last on this thread. Valid until the next call that fails; never NULL. */
const char *brolga_last_error(void);

/* A runtime. options may be NULL: one CPU slot, no trace. */
brolga_runtime *brolga_runtime_new(const brolga_options *options);
void brolga_runtime_free(brolga_runtime *runtime);

/* A worker, which owns a free CPU slot until it is freed. */
brolga_worker *brolga_worker_new(const brolga_runtime *runtime);
void brolga_worker_free(brolga_worker *worker);

/* A compiled module with maps of its own. The descriptor is one that Brolga's compiler emitted. */
brolga_instance *brolga_instance_new(const brolga_runtime *runtime, const struct brolga_descriptor *descriptor);
void brolga_instance_free(brolga_instance *instance);

/* A program by its function's name. */
brolga_program *brolga_program_find(const brolga_instance *instance, const char *name);
void brolga_program_free(brolga_program *program);

/* A packet in a frame with headroom, to be used again and again. */
brolga_packet *brolga_packet_new(const void *data, size_t len);
void brolga_packet_set(brolga_packet *packet, const void *data, size_t len);
/* The packet as it is now. Valid until it is run on, set or freed. */
const uint8_t *brolga_packet_data(const brolga_packet *packet, size_t *len);
void brolga_packet_free(brolga_packet *packet);

/* Runs an XDP program; *verdict is one of enum xdp_action. */
int brolga_run_xdp(const brolga_program *program, brolga_worker *worker, brolga_packet *packet, uint32_t *verdict);
/* Runs a socket filter on an Ethernet frame; *bytes is how much of it the socket receives. */
int brolga_run_socket_filter(const brolga_program *program, brolga_worker *worker, const void *frame, size_t len,
                             uint32_t *bytes);
/* Runs a raw_memory program on a buffer; *result is r0. */
int brolga_run_raw(const brolga_program *program, brolga_worker *worker, void *memory, size_t len, uint64_t *result);

/* One run for a test, in the manner of BPF_PROG_TEST_RUN: an XDP program runs on a packet, a socket filter on a frame
 * whose Ethernet header is taken off, a raw_memory program on a buffer. */
typedef struct brolga_test {
    /* What it runs on. */
    const void *data;
    size_t len;
    /* Takes the packet's metadata and the packet, or the buffer, as the program leaves it. */
    void *out;
    size_t out_size;
    /* Bytes at out afterwards, and how many of them are metadata. */
    size_t out_len;
    size_t meta_len;
    /* All 64 bits of r0. */
    uint64_t result;
} brolga_test;

/* -ENOSPC where out is too small. */
int brolga_test_run(const brolga_program *program, brolga_worker *worker, brolga_test *test);

/* A map by its name. */
brolga_map *brolga_map_find(const brolga_instance *instance, const char *name);
void brolga_map_free(brolga_map *map);
uint32_t brolga_map_key_size(const brolga_map *map);
uint32_t brolga_map_value_size(const brolga_map *map);

/* Copies a value. Keys and values are as long as the map says. -ENOENT where there is none. */
int brolga_map_lookup(const brolga_map *map, const void *key, void *value);
/* Copies the values of all CPU slots, one after the other: cpus times the value size. */
int brolga_map_lookup_percpu(const brolga_map *map, const void *key, void *values);
/* flags: 0 (BPF_ANY), 1 (BPF_NOEXIST) or 2 (BPF_EXIST). */
int brolga_map_update(const brolga_map *map, const void *key, const void *value, uint64_t flags);
int brolga_map_update_percpu(const brolga_map *map, const void *key, const void *values, uint64_t flags);
int brolga_map_delete(const brolga_map *map, const void *key);
/* Puts a program into a prog_array, or empties the slot where program is NULL. */
int brolga_map_set_program(const brolga_map *map, uint32_t index, const brolga_program *program);

/* The keys of a map, one after the other: copies the next one, or returns false at the end. */
brolga_keys *brolga_map_keys(const brolga_map *map);
bool brolga_keys_next(brolga_keys *keys, void *key);
void brolga_keys_free(brolga_keys *keys);

/* Copies a variable of global data; len is its size. */
int brolga_global_read(const brolga_instance *instance, const char *name, void *value, size_t len);
int brolga_global_write(const brolga_instance *instance, const char *name, const void *value, size_t len);

#ifdef __cplusplus
}
#endif
