#include "launcher/rank/handshake.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "launcher/rank/build_id.h"
#include "launcher/rank/compute.h"
#include "launcher/rank/models.h"
#include "parallel/ranks.h"
#include "runtime/model/checkpoint.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { N_SAMPLES = 16, SAMPLE_BYTES = 64, MAX_CONFIG_BYTES = 16 << 20, MAX_WORDS = 96 };

/* ---- the record of this rank ---- */

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return XXH3_64bits_withSeed(text, strlen(text), seed);
}

static bool hash_config(uint64_t *out, const char *folder, struct error *err)
{
    char path[4096], *text;
    size_t n_bytes;
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (!file_read(&text, &n_bytes, path, MAX_CONFIG_BYTES, err))
        return false;
    *out = XXH3_64bits(text, n_bytes);
    memory_free(text);
    return true;
}

/* The header, and samples at equal distances over the data. The file was checked when it was
 * opened: the header is inside. */
static uint64_t hash_file(const struct file_map *map, uint64_t seed)
{
    uint64_t header;
    memcpy(&header, map->data, sizeof header);
    const size_t data_at = sizeof header + (size_t)header, n_data = map->n_bytes - data_at;
    uint64_t hash = XXH3_64bits_withSeed(map->data, data_at, seed);
    for (size_t i = 0; i < N_SAMPLES; i++) {
        const size_t at = n_data / N_SAMPLES * i;
        const size_t n = n_data - at < SAMPLE_BYTES ? n_data - at : SAMPLE_BYTES;
        hash = XXH3_64bits_withSeed(map->data + data_at + at, n, hash);
    }
    return hash;
}

/* Of made-up weights all is in config.json. */
static bool hash_checkpoint(uint64_t *out, const char *folder, bool dummy, struct error *err)
{
    *out = 0;
    if (dummy)
        return true;
    struct checkpoint checkpoint;
    const bool good = checkpoint_open(&checkpoint, folder, err);
    for (int i = 0; good && i < checkpoint.n_files; i++)
        *out = hash_file(&checkpoint.file[i].map, *out);
    checkpoint_close(&checkpoint);
    return good;
}

/* What each host may have for itself: its machine, its paths (the files behind them are compared),
 * and what is said and written there. */
static bool may_differ(const char *word)
{
    static const char *const own[] = {
        "--threads=", "--kernels=", "--log-level=",          "--log-format=",       "--link=",
        "--record=",  "--replay=",  "--speculative-config=", "--speculative-model="};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(word, own[i], strlen(own[i])) == 0)
            return true;
    return false;
}

static uint64_t hash_options(const struct options *options)
{
    struct arena arena = {0};
    char *word[MAX_WORDS];
    uint64_t hash = 0;
    const int n = options_for_rank(options, &arena, word, MAX_WORDS);
    for (int i = 0; i < n; i++)
        if (!may_differ(word[i]))
            hash = hash_text(word[i], hash);
    arena_release(&arena);
    return hash;
}

/* Exact numerics are those of one kind of GPU: another may round otherwise. */
static uint64_t hash_device(const struct rank_compute *compute)
{
    const uint64_t kind = hash_text(compute->gpu != NULL ? "cuda" : "cpu", compute->exact);
    return compute->exact ? hash_text(compute->name, kind) : kind;
}

bool handshake_make(struct handshake *out, const struct rank_models *models,
                    const struct options *options, const struct rank_compute *compute,
                    struct error *err)
{
    const char *draft = models->folder[PLAN_DRAFT];
    const bool dummy = options_dummy_weights(options);
    uint64_t draft_config = 0, draft_weights = 0;
    *out = (struct handshake){0};
    out->mark[MARK_BUILD] = hash_text(build_id, 0);
    out->mark[MARK_OPTIONS] = hash_options(options);
    out->mark[MARK_DEVICE] = hash_device(compute);
    snprintf(out->kernels, sizeof out->kernels, "%s", compute->device->ops->name);
    snprintf(out->gpu, sizeof out->gpu, "%s", compute->name);
    out->gpu_bytes = compute->gpu_bytes;
    if (!hash_config(&out->mark[MARK_CONFIG], models->folder[PLAN_TARGET], err) ||
        !hash_checkpoint(&out->mark[MARK_CHECKPOINT], models->folder[PLAN_TARGET], dummy, err) ||
        (draft != NULL && (!hash_config(&draft_config, draft, err) ||
                           !hash_checkpoint(&draft_weights, draft, dummy, err))))
        return false;
    out->mark[MARK_DRAFT] = draft_config ^ draft_weights;
    return true;
}

uint64_t handshake_model_mark(const struct handshake *mine)
{
    return mine->mark[MARK_CONFIG] ^ mine->mark[MARK_CHECKPOINT];
}

/* ---- the verdict ---- */

/* "rank 3 has", "ranks 2, 3 have": those of `differs`; at most 8 by number. */
static void name_ranks(char *text, size_t n_bytes, const bool *differs, int n_ranks)
{
    enum { MOST = 8 };
    int n_all = 0, n = 0;
    for (int rank = 0; rank < n_ranks; rank++)
        n_all += differs[rank];
    size_t used = (size_t)snprintf(text, n_bytes, n_all == 1 ? "rank " : "ranks ");
    for (int rank = 0; rank < n_ranks && n < MOST; rank++)
        if (differs[rank])
            used +=
                (size_t)snprintf(text + used, n_bytes - used, "%s%d", n++ > 0 ? ", " : "", rank);
    if (n < n_all)
        used += (size_t)snprintf(text + used, n_bytes - used, " and %d more", n_all - n);
    snprintf(text + used, n_bytes - used, n_all == 1 ? " has" : " have");
}

bool handshake_compare(const struct handshake *all, int n_ranks, struct error *err)
{
    static const char *const what[N_MARKS][2] = {
        [MARK_BUILD] = {"another build of phalanx-rank", "every host needs the same program"},
        [MARK_OPTIONS] = {"other options",
                          "give all ranks the same, but for --threads, --kernels and paths"},
        [MARK_DEVICE] = {"another device or other numerics",
                         "all compute on CPUs, or all on GPUs, of one kind with --numerics exact"},
        [MARK_CONFIG] = {"another config.json", "every host needs the same files of the model"},
        [MARK_CHECKPOINT] = {"another checkpoint", "every host needs the same files of the model"},
        [MARK_DRAFT] = {"another draft model", "every host needs the same files of it"},
    };
    bool *differs = memory_alloc((size_t)n_ranks, sizeof *differs), same = true;
    char who[160];
    for (int mark = 0; same && mark < N_MARKS; mark++) {
        for (int rank = 0; rank < n_ranks; rank++) {
            differs[rank] = all[rank].mark[mark] != all[0].mark[mark];
            same = same && !differs[rank];
        }
        if (same)
            continue;
        name_ranks(who, sizeof who, differs, n_ranks);
        error_set(err, ERROR_INPUT, "%s %s than rank 0: %s", who, what[mark][0], what[mark][1]);
    }
    memory_free(differs);
    return same;
}

/* Once, by the first that differs: the slowest host is the pace of all. */
static void log_kernels(const struct handshake *all, int n_ranks)
{
    for (int rank = 1; rank < n_ranks; rank++) {
        if (strcmp(all[rank].gpu, all[0].gpu) != 0) {
            log_write(LOG_INFO, "handshake", "rank %d has another GPU (%s) than rank 0 (%s)", rank,
                      all[rank].gpu, all[0].gpu);
            return;
        }
        if (strcmp(all[rank].kernels, all[0].kernels) != 0) {
            log_write(LOG_INFO, "handshake",
                      "rank %d computes with %s kernels, rank 0 with %s: the same bits, another "
                      "speed",
                      rank, all[rank].kernels, all[0].kernels);
            return;
        }
    }
}

static int64_t smallest_gpu(const struct handshake *all, int n_ranks)
{
    int64_t least = all[0].gpu_bytes;
    for (int rank = 1; rank < n_ranks; rank++)
        least = all[rank].gpu_bytes < least ? all[rank].gpu_bytes : least;
    return least;
}

bool handshake_exchange(const struct handshake *mine, const struct ranks *ranks, int64_t *gpu_bytes,
                        struct error *err)
{
    const size_t n = (size_t)ranks->world_size;
    struct handshake *all = memory_alloc(n, sizeof *all);
    size_t *n_bytes = memory_alloc(n, sizeof *n_bytes);
    for (size_t rank = 0; rank < n; rank++)
        n_bytes[rank] = sizeof *mine;
    bool good = comm_all_gather(ranks->world, NULL, all, mine, n_bytes, err);
    if (good) {
        for (size_t rank = 0; rank < n; rank++)
            all[rank].kernels[sizeof all[rank].kernels - 1] =
                all[rank].gpu[sizeof all[rank].gpu - 1] = '\0';
        log_kernels(all, ranks->world_size);
        *gpu_bytes = smallest_gpu(all, ranks->world_size);
        good = handshake_compare(all, ranks->world_size, err);
    }
    memory_free(n_bytes);
    memory_free(all);
    return good;
}
