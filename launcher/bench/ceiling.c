#include "launcher/bench/ceiling.h"

#include "base/bandwidth.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/team.h"
#include "launcher/session.h"
#include "runtime/model/config.h"
#include "runtime/options/options.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PASSES = 3 };
static const size_t READ_BYTES = (size_t)1 << 30; /* far more than any cache */

/* Bytes of a number of this type, as link and options name it. */
static double number_bytes(const char *dtype)
{
    if (strcmp(dtype, "int8") == 0)
        return 1;
    return strcmp(dtype, "F32") == 0 || strcmp(dtype, "float32") == 0 ? 4 : 2;
}

/* Bytes of the weights of the model that guesses, as its files have them; 0: nobody guesses. The
 * ranks count them among their own. */
static double draft_bytes(const struct options *options)
{
    double sum = 0;
    if (strcmp(options->speculative_method, "draft_model") != 0)
        return 0;
    DIR *folder = opendir(options->speculative_model);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        struct stat status;
        const char *end = strrchr(entry->d_name, '.');
        if (end != NULL && strcmp(end, ".safetensors") == 0 &&
            fstatat(dirfd(folder), entry->d_name, &status, 0) == 0)
            sum += (double)status.st_size;
    }
    if (folder != NULL)
        closedir(folder);
    return sum;
}

bool ceiling_open(struct ceiling *out, const struct options *options, const struct session *session,
                  struct error *err)
{
    struct model_config config;
    const char *kv = options->kv_cache_dtype;
    *out = (struct ceiling){0};
    if (*session->gpu != '\0')
        return true;
    out->n_threads = session->n_threads;
    if (!model_config_read(&config, session->model_folder, err) ||
        !memory_map(&out->memory, READ_BYTES, err))
        return false;
    memset(out->memory, 1, READ_BYTES); /* pages that nobody wrote are all the same one */
    out->weight_bytes = (double)session->weight_bytes - draft_bytes(options);
    if (!config.tied)
        out->weight_bytes -= (double)config.vocab * config.hidden * number_bytes(session->dtype);
    out->kv_bytes = 2.0 * config.n_layers * config.n_kv_heads * config.head_dim *
                    number_bytes(strcmp(kv, "auto") == 0 ? session->dtype : kv);
    return team_create(&out->team, out->n_threads, 0, NULL, err);
}

bool ceiling_is_known(const struct ceiling *ceiling) { return ceiling->team != NULL; }

void ceiling_measure(struct ceiling *ceiling)
{
    for (int i = 0; ceiling_is_known(ceiling) && i < PASSES; i++) {
        const double rate = bandwidth_read(ceiling->team, ceiling->memory, READ_BYTES);
        ceiling->bandwidth = rate > ceiling->bandwidth ? rate : ceiling->bandwidth;
    }
}

static double bytes_of_token(const struct ceiling *ceiling, double context)
{
    return ceiling->weight_bytes + context * ceiling->kv_bytes;
}

double ceiling_tokens(const struct ceiling *ceiling, double context)
{
    return ceiling->bandwidth / bytes_of_token(ceiling, context);
}

void ceiling_print(const struct ceiling *ceiling, double context)
{
    printf("memory      %.2f GB/s read by %d thread%s in this run, %.4f GB a token: at most %.2f "
           "tokens/s at batch 1\n",
           ceiling->bandwidth * 1e-9, ceiling->n_threads, ceiling->n_threads == 1 ? "" : "s",
           bytes_of_token(ceiling, context) * 1e-9, ceiling_tokens(ceiling, context));
}

json_t *ceiling_json(const struct ceiling *ceiling, double context)
{
    return json_pack("{sf si sf sf sf sf}", "read_bytes_per_second", ceiling->bandwidth, "threads",
                     ceiling->n_threads, "weight_bytes", ceiling->weight_bytes,
                     "kv_bytes_per_position", ceiling->kv_bytes, "bytes_per_token",
                     bytes_of_token(ceiling, context), "tokens_per_second_at_batch_1",
                     ceiling_tokens(ceiling, context));
}

void ceiling_close(struct ceiling *ceiling)
{
    team_destroy(ceiling->team);
    memory_unmap(ceiling->memory, READ_BYTES);
    *ceiling = (struct ceiling){0};
}
