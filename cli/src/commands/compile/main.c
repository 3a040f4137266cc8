/* The executable of `brolga compile --emit exe`: runs one compiled program on the files that it is
 * given, each a packet or a buffer, and prints what the program returned for each.
 *
 * DESCRIPTOR, PROGRAM and KIND are defined by the command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brolga.h"

extern const struct brolga_descriptor DESCRIPTOR;

enum { RAW_MEMORY = 0, SOCKET_FILTER = 1, XDP = 6 }; /* the numbers of Brolga's program kinds */

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 2;
}

static void trace(void *user, const char *text, size_t len)
{
    (void)user;
    fprintf(stderr, "trace: %.*s", (int)len, text);
}

static unsigned char *read_file(const char *path, size_t *len)
{
    FILE *file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    unsigned char *bytes = NULL;
    size_t room = 0, got;
    *len = 0;
    if (!file)
        return NULL;
    do {
        if (*len == room) {
            unsigned char *more = realloc(bytes, room = room ? 2 * room : 4096);
            if (!more)
                break;
            bytes = more;
        }
        got = fread(bytes + *len, 1, room - *len, file);
        *len += got;
    } while (got);
    if (ferror(file) || *len == room) {
        free(bytes);
        bytes = NULL;
    }
    if (file != stdin)
        fclose(file);
    return bytes;
}

static int run(const brolga_program *program, brolga_worker *worker, unsigned char *bytes, size_t len,
               unsigned long long *result)
{
    uint32_t narrow = 0;
    uint64_t wide = 0;
    int error;
    if (KIND == XDP) {
        brolga_packet *packet = brolga_packet_new(bytes, len);
        error = packet ? brolga_run_xdp(program, worker, packet, &narrow) : -1;
        if (packet)
            brolga_packet_free(packet);
    } else if (KIND == SOCKET_FILTER) {
        error = brolga_run_socket_filter(program, worker, bytes, len, &narrow);
    } else {
        error = brolga_run_raw(program, worker, bytes, len, &wide);
    }
    *result = KIND == RAW_MEMORY ? wide : narrow;
    return error;
}

int main(int argc, char **argv)
{
    static const char *const verdicts[] = { "XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT" };
    brolga_options options = { .cpus = 1, .trace = trace };
    brolga_runtime *runtime = brolga_runtime_new(&options);
    brolga_instance *instance = runtime ? brolga_instance_new(runtime, &DESCRIPTOR) : NULL;
    brolga_program *program = instance ? brolga_program_find(instance, PROGRAM) : NULL;
    brolga_worker *worker = program ? brolga_worker_new(runtime) : NULL;
    if (!worker)
        return fail(argv[0], brolga_last_error());
    if (argc < 2)
        return fail(argv[0], "give files, each of one packet or buffer (- reads standard input)");

    for (int i = 1; i < argc; i++) {
        unsigned long long result;
        size_t len;
        unsigned char *bytes = read_file(argv[i], &len);
        if (!bytes)
            return fail(argv[i], "cannot be read");
        if (run(program, worker, bytes, len, &result))
            return fail(argv[i], brolga_last_error());
        free(bytes);
        if (KIND == XDP && result < sizeof(verdicts) / sizeof(*verdicts))
            printf("%s: %s\n", argv[i], verdicts[result]);
        else
            printf("%s: %llu\n", argv[i], result);
    }

    brolga_worker_free(worker);
    brolga_program_free(program);
    brolga_instance_free(instance);
    brolga_runtime_free(runtime);
    return 0;
}
