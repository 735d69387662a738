#include "launcher/rank/account.h"

#include "base/log.h"
#include "base/memory.h"
#include "launcher/bytes_text.h"
#include "parallel/ranks.h"

static void tell_gpu(int rank, const struct gpu_bytes *bytes)
{
    char total[BYTES_TEXT];
    if (gpu_bytes_total(bytes) > 0)
        log_write(LOG_INFO, "rank",
                  "GPU memory of rank %d: %s (bytes: weights %lld, kv %lld, activations %lld, "
                  "workspace %lld, communication %lld)",
                  rank, bytes_text(total, gpu_bytes_total(bytes)), (long long)bytes->weights,
                  (long long)bytes->kv, (long long)bytes->activations, (long long)bytes->workspace,
                  (long long)bytes->communication);
}

static void tell(int rank, const struct rank_account *account)
{
    const struct rank_bytes *bytes = &account->bytes;
    char total[BYTES_TEXT], program[BYTES_TEXT];
    log_write(LOG_INFO, "rank",
              "memory of rank %d: %s, and %s of program and libraries (bytes: mapped %lld, copied "
              "%lld, kv %lld, activations %lld, communication %lld, threads %lld, pinned %lld, "
              "tables %lld)",
              rank, bytes_text(total, rank_bytes_total(bytes)),
              bytes_text(program, account->program), (long long)bytes->mapped,
              (long long)bytes->copied, (long long)bytes->kv, (long long)bytes->activations,
              (long long)bytes->communication, (long long)bytes->threads, (long long)bytes->pinned,
              (long long)bytes->tables);
    tell_gpu(rank, &bytes->gpu);
}

bool rank_account_gather(int64_t *total, const struct rank_account *mine, const struct ranks *ranks,
                         struct error *err)
{
    const size_t n_ranks = (size_t)ranks->world_size;
    struct rank_account *all = memory_alloc(n_ranks, sizeof *all);
    size_t *n_bytes = memory_alloc(n_ranks, sizeof *n_bytes);
    for (size_t i = 0; i < n_ranks; i++)
        n_bytes[i] = sizeof *mine;
    struct comm *world = ranks->world;
    const bool good = comm_all_gather(world, NULL, all, mine, n_bytes, err);
    *total = 0;
    for (size_t i = 0; good && i < n_ranks; i++) {
        *total += rank_bytes_total(&all[i].bytes) + gpu_bytes_total(&all[i].bytes.gpu);
        tell((int)i, &all[i]);
    }
    memory_free(n_bytes);
    memory_free(all);
    return good;
}
