/* Runs compiled modules on request: reads commands from standard input and answers on standard output.
 *
 * All numbers are little-endian. A command is a byte, the module's number, a name (length, bytes) and then what the
 * command says. The tables of modules are generated beside this file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brolga.h"

extern const struct brolga_descriptor *const modules[];
extern const uint32_t cpus;

static brolga_runtime *runtime;
static brolga_worker *worker;
static brolga_instance **instances;

static void get(void *to, size_t len) {
    if (len && fread(to, 1, len, stdin) != len)
        exit(len == 1 ? 0 : 3);
}

static uint32_t get32(void) {
    uint32_t value;
    get(&value, 4);
    return value;
}

static void *get_bytes(uint32_t *len) {
    *len = get32();
    char *bytes = calloc(1, *len + 1);
    get(bytes, *len);
    return bytes;
}

static void put(const void *from, size_t len) {
    fwrite(from, 1, len, stdout);
}

static void put32(uint32_t value) {
    put(&value, 4);
}

/* An answer begins with 0, or with an error in words. */
static int answer(int status) {
    const char *words = status ? brolga_last_error() : "";
    put32(strlen(words));
    put(words, strlen(words));
    return status;
}

static void run(brolga_instance *instance, const char *name) {
    uint32_t len;
    brolga_test test = {.out_size = 1 << 17};
    char *data = get_bytes(&len);
    test.data = data;
    test.len = len;
    test.out = malloc(test.out_size);
    brolga_program *program = brolga_program_find(instance, name);
    if (answer(program ? brolga_test_run(program, worker, &test) : -1) == 0) {
        put(&test.result, 8);
        put32(test.meta_len);
        put32(test.out_len);
        put(test.out, test.out_len);
    }
    brolga_program_free(program);
    free(test.out);
    free(data);
}

static void update(brolga_instance *instance, const char *name) {
    uint32_t len, per_cpu = get32();
    char *key = get_bytes(&len), *values = get_bytes(&len);
    brolga_map *map = brolga_map_find(instance, name);
    int status = -1;
    if (map)
        status = per_cpu ? brolga_map_update_percpu(map, key, values, 0) : brolga_map_update(map, key, values, 0);
    answer(status);
    brolga_map_free(map);
    free(key);
    free(values);
}

static void contents(brolga_instance *instance, const char *name) {
    uint32_t per_cpu = get32();
    brolga_map *map = brolga_map_find(instance, name);
    if (answer(map ? 0 : -1))
        return;
    uint32_t key_size = brolga_map_key_size(map), value_size = brolga_map_value_size(map) * (per_cpu ? cpus : 1);
    char *key = malloc(key_size), *values = malloc(value_size);
    brolga_keys *keys = brolga_map_keys(map);
    while (brolga_keys_next(keys, key)) {
        if (per_cpu ? brolga_map_lookup_percpu(map, key, values) : brolga_map_lookup(map, key, values))
            continue;
        put32(1);
        put(key, key_size);
        put(values, value_size);
    }
    put32(0);
    brolga_keys_free(keys);
    brolga_map_free(map);
    free(key);
    free(values);
}

int main(void) {
    size_t count = 0;
    while (modules[count])
        count++;
    instances = calloc(count, sizeof(*instances));
    brolga_options options = {.cpus = cpus};
    runtime = brolga_runtime_new(&options);
    worker = brolga_worker_new(runtime);
    for (;;) {
        char command;
        uint32_t len;
        get(&command, 1);
        uint32_t module = get32();
        char *name = get_bytes(&len);
        if (!instances[module])
            instances[module] = brolga_instance_new(runtime, modules[module]);
        switch (command) {
        case 'r': run(instances[module], name); break;
        case 'u': update(instances[module], name); break;
        case 'c': contents(instances[module], name); break;
        default: return 2;
        }
        free(name);
        fflush(stdout);
    }
}
