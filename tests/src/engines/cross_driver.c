/* Runs `raw_memory` programs compiled for this machine: reads commands from standard input and answers on
 * standard output. There is no runtime here: the environment is what compiled code itself looks at.
 *
 * All numbers of the protocol are little-endian, whatever the machine is.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct map_ref {
    const void *handle;
    uint8_t *data;
};

struct env {
    const struct map_ref *maps;
    uint32_t cpu, tail_calls, trap, reserved;
    void *worker, *context;
};

struct raw_memory {
    uint8_t *data;
    uint64_t len;
};

/* Generated beside this file. */
extern uint64_t (*const programs[])(void *, struct env *);
extern const uint32_t module_of[], map_counts[];

static struct map_ref **tables;

static void get(void *to, size_t len) {
    if (len && fread(to, 1, len, stdin) != len)
        exit(len == 1 ? 0 : 3);
}

static uint32_t get32(void) {
    uint8_t b[4];
    get(b, 4);
    return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

static void put(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        putchar(value >> 8 * i & 0xff);
}

static void run(uint32_t program) {
    uint32_t len = get32();
    struct raw_memory memory = {.data = calloc(1, len + 16), .len = len};
    struct env env = {.maps = tables[module_of[program]]};
    get(memory.data, len);
    uint64_t result = programs[program](&memory, &env);
    put(result, 8);
    put(env.trap, 4);
    put(len, 4);
    fwrite(memory.data, 1, len, stdout);
    free(memory.data);
}

/* Gives a map of a module its bytes. */
static void set(uint32_t module) {
    uint32_t map = get32(), len = get32();
    struct map_ref *ref = &tables[module][map];
    if (!ref->data)
        ref->data = aligned_alloc(64, (len + 63) / 64 * 64 + 64);
    get(ref->data, len);
}

static void read_map(uint32_t module) {
    uint32_t map = get32(), len = get32();
    fwrite(tables[module][map].data, 1, len, stdout);
}

int main(void) {
    uint32_t modules = get32();
    tables = calloc(modules + 1, sizeof *tables);
    for (uint32_t i = 0; i < modules; i++)
        tables[i] = calloc(map_counts[i] + 1, sizeof **tables);
    for (;;) {
        char command;
        get(&command, 1);
        uint32_t index = get32();
        switch (command) {
        case 'r':
            run(index);
            break;
        case 's':
            set(index);
            break;
        case 'm':
            read_map(index);
            break;
        default:
            return 3;
        }
        fflush(stdout);
    }
}
