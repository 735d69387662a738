/* How fast a tokenizer.json is read, and a text becomes ids and text again, on one thread.
 *
 *     bench_tokenizer FOLDER FILE [RUNS]
 *
 * FOLDER has a tokenizer.json. Each run has a new encoder, so nothing is known from the run before.
 * Prints one line of JSON: seconds of every run; bench_tokenizer.py compares them with another
 * library.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_FILE_BYTES = 64 << 20, MAX_RUNS = 99 };

static double seconds_since(int64_t begin) { return (double)(clock_now_ns() - begin) * 1e-9; }

struct times {
    double open, encode[MAX_RUNS], decode[MAX_RUNS];
    size_t n_ids, n_bytes;
};

static bool run(struct times *times, int n_runs, const char *path, const char *text, size_t n_bytes,
                struct error *err)
{
    struct tokenizer *t;
    struct ids ids = {0};
    struct bytes back = {0};
    int64_t begin = clock_now_ns();
    if (!tokenizer_open(&t, path, err))
        return false;
    times->open = seconds_since(begin);
    bool ok = true;
    for (int i = 0; ok && i < n_runs; i++) {
        struct encoder *e = encoder_create(t);
        ids_clear(&ids);
        bytes_clear(&back);
        begin = clock_now_ns();
        ok = encoder_encode(e, text, n_bytes, NULL, &ids, err);
        times->encode[i] = seconds_since(begin);
        encoder_destroy(e);
        begin = clock_now_ns();
        detokenizer_decode(t, ids.data, ids.n, false, &back);
        times->decode[i] = seconds_since(begin);
    }
    times->n_ids = ids.n;
    times->n_bytes = n_bytes;
    ids_release(&ids);
    bytes_release(&back);
    tokenizer_close(t);
    return ok;
}

static void print(const struct times *times, int n_runs)
{
    printf("{\"bytes\": %zu, \"ids\": %zu, \"open\": %.6f, \"encode\": [", times->n_bytes,
           times->n_ids, times->open);
    for (int i = 0; i < n_runs; i++)
        printf("%s%.6f", i ? ", " : "", times->encode[i]);
    printf("], \"decode\": [");
    for (int i = 0; i < n_runs; i++)
        printf("%s%.6f", i ? ", " : "", times->decode[i]);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenizer FOLDER FILE [RUNS]\n");
        return 2;
    }
    char *text, path[4096];
    size_t n_bytes;
    struct error err = {0};
    static struct times times;
    const long wanted = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
    const int n_runs = wanted < 1 ? 1 : wanted > MAX_RUNS ? MAX_RUNS : (int)wanted;
    snprintf(path, sizeof path, "%s/tokenizer.json", argv[1]);
    if (!file_read(&text, &n_bytes, argv[2], MAX_FILE_BYTES, &err) ||
        !run(&times, n_runs, path, text, n_bytes, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    print(&times, n_runs);
    memory_free(text);
    return 0;
}
