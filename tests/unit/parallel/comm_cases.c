#include "tests/unit/parallel/comm_cases.h"

#include "base/error.h"
#include "base/memory.h"
#include "tests/unit/parallel/random_floats.h"

#include <string.h>

enum { MEGABYTE = 1 << 20 };

/* Every rank makes the same leaves from the same seed, so each knows the whole answer. */
static float leaf_value(uint64_t seed, int leaf, size_t i)
{
    struct random_floats random = random_floats_make(seed * 1000003 + (uint64_t)leaf * 65537 + i);
    return random_float(&random);
}

static float tree_value(uint64_t seed, struct span node, size_t i)
{
    if (node.hi - node.lo == 1)
        return leaf_value(seed, node.lo, i);
    const int mid = tree_mid(node);
    const float left = tree_value(seed, (struct span){node.lo, mid}, i);
    const float right = tree_value(seed, (struct span){mid, node.hi}, i);
    return left + right;
}

static bool reduce_once(struct comm *comm, int n_leaves, size_t count, bool in_place, uint64_t seed,
                        struct error *err)
{
    struct span part[MAX_PARTS];
    const struct span run = tree_run(n_leaves, comm->size, comm->rank);
    const int n_parts = tree_parts(n_leaves, run, part);
    float *parts = memory_alloc((size_t)n_parts * count, sizeof *parts);
    for (int p = 0; p < n_parts; p++)
        for (size_t i = 0; i < count; i++)
            parts[(size_t)p * count + i] = tree_value(seed, part[p], i);
    float *sum = in_place ? parts : memory_alloc(count, sizeof *sum);
    bool ok = comm->ops->tree_reduce(comm, NULL, sum, parts, n_leaves, count, err);
    for (size_t i = 0; ok && i < count; i++) {
        const float want = tree_value(seed, (struct span){0, n_leaves}, i);
        if (memcmp(&sum[i], &want, sizeof want) != 0)
            ok = error_set(err, ERROR_INPUT,
                           "tree_reduce: %d leaves on %d ranks: float %zu of %zu is %a, want %a",
                           n_leaves, comm->size, i, count, (double)sum[i], (double)want);
    }
    if (!in_place)
        memory_free(sum);
    memory_free(parts);
    return ok;
}

bool case_tree_reduce(struct comm *comm, struct error *err)
{
    const size_t small[] = {0, 1, 2, 15, 16, 17, 333};
    for (int n_leaves = comm->size; n_leaves <= MAX_LEAVES; n_leaves++)
        for (size_t c = 0; c < sizeof small / sizeof *small; c++)
            if (!reduce_once(comm, n_leaves, small[c], c % 2 == 0, c, err))
                return false;
    const size_t large[] = {2048, 65536, 65537, 131100};
    for (size_t c = 0; c < sizeof large / sizeof *large; c++)
        if (!reduce_once(comm, comm->size, large[c], c % 2 == 0, c, err) ||
            !reduce_once(comm, 14, large[c] / 4, c % 2 == 1, c, err))
            return false;
    return true;
}

static unsigned char byte_of(uint64_t seed, int rank, size_t i)
{
    struct random_floats random = random_floats_make(seed + (uint64_t)rank * 7919 + i / 8);
    return (unsigned char)(random_bits(&random) >> i % 8 * 8);
}

static void fill(unsigned char *bytes, size_t n_bytes, uint64_t seed, int rank)
{
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = byte_of(seed, rank, i);
}

static bool compare(const char *what, const unsigned char *bytes, size_t n_bytes, uint64_t seed,
                    int rank, struct error *err)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (bytes[i] != byte_of(seed, rank, i))
            return error_set(err, ERROR_INPUT, "%s: byte %zu of %zu from rank %d is wrong", what, i,
                             n_bytes, rank);
    return true;
}

static bool gather_once(struct comm *comm, const size_t *n_bytes, bool in_place, uint64_t seed,
                        struct error *err)
{
    size_t total = 0, before = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        before += rank < comm->rank ? n_bytes[rank] : 0;
        total += n_bytes[rank];
    }
    unsigned char *all = memory_alloc(total, 1);
    unsigned char *mine = in_place ? all + before : memory_alloc(n_bytes[comm->rank], 1);
    fill(mine, n_bytes[comm->rank], seed, comm->rank);
    bool ok = comm->ops->all_gather(comm, NULL, all, mine, n_bytes, err);
    const unsigned char *at = all;
    for (int rank = 0; ok && rank < comm->size; rank++) {
        ok = compare("all_gather", at, n_bytes[rank], seed, rank, err);
        at += n_bytes[rank];
    }
    if (!in_place)
        memory_free(mine);
    memory_free(all);
    return ok;
}

bool case_all_gather(struct comm *comm, struct error *err)
{
    const size_t unit[] = {0, 1, 7, 4096, 300 * 1024};
    size_t *n_bytes = memory_alloc((size_t)comm->size, sizeof *n_bytes);
    bool ok = true;
    for (size_t u = 0; ok && u < sizeof unit / sizeof *unit; u++)
        for (int empty = -1; ok && empty < comm->size; empty++) {
            for (int rank = 0; rank < comm->size; rank++)
                n_bytes[rank] = rank == empty ? 0 : unit[u] * (size_t)(rank % 3 + 1);
            ok = gather_once(comm, n_bytes, empty % 2 == 0, u, err);
        }
    memory_free(n_bytes);
    return ok;
}

static bool broadcast_once(struct comm *comm, size_t n_bytes, int root, bool idle, uint64_t seed,
                           struct error *err)
{
    unsigned char *bytes = memory_alloc(n_bytes, 1);
    if (comm->rank == root)
        fill(bytes, n_bytes, seed, root);
    const bool ok = comm->ops->broadcast(comm, bytes, n_bytes, root, idle, err) &&
                    compare("broadcast", bytes, n_bytes, seed, root, err);
    memory_free(bytes);
    return ok;
}

bool case_broadcast(struct comm *comm, struct error *err)
{
    const size_t n_bytes[] = {0, 1, 100, 4096, 3 * MEGABYTE + 1};
    for (int root = 0; root < comm->size; root++)
        for (size_t n = 0; n < sizeof n_bytes / sizeof *n_bytes; n++)
            for (int idle = 0; idle < 2; idle++)
                if (!broadcast_once(comm, n_bytes[n], root, idle, n, err))
                    return false;
    return true;
}

static bool send_bytes(struct comm *comm, size_t n_bytes, int to, uint64_t seed, struct error *err)
{
    unsigned char *bytes = memory_alloc(n_bytes, 1);
    fill(bytes, n_bytes, seed, comm->rank);
    const bool ok = comm->ops->send(comm, NULL, bytes, n_bytes, to, err);
    memory_free(bytes);
    return ok;
}

static bool receive_bytes(struct comm *comm, size_t n_bytes, int from, uint64_t seed,
                          struct error *err)
{
    unsigned char *bytes = memory_alloc(n_bytes, 1);
    const bool ok = comm->ops->receive(comm, NULL, bytes, n_bytes, from, false, err) &&
                    compare("receive", bytes, n_bytes, seed, from, err);
    memory_free(bytes);
    return ok;
}

bool case_send_receive(struct comm *comm, struct error *err)
{
    const size_t n_bytes[] = {0, 1, 4097, MEGABYTE + 3};
    for (int from = 0; from < comm->size; from++)
        for (int to = 0; to < comm->size; to++)
            for (size_t n = 0; from != to && n < sizeof n_bytes / sizeof *n_bytes; n++) {
                if (comm->rank == from && !send_bytes(comm, n_bytes[n], to, n, err))
                    return false;
                if (comm->rank == to && !receive_bytes(comm, n_bytes[n], from, n, err))
                    return false;
            }
    /* a ring: rank 0 sends first, the others receive first */
    const int next = (comm->rank + 1) % comm->size;
    const int before = (comm->rank + comm->size - 1) % comm->size;
    for (uint64_t round = 0; comm->size > 1 && round < 20; round++) {
        if (comm->rank == 0 && !send_bytes(comm, 1000 + round, next, round, err))
            return false;
        if (!receive_bytes(comm, 1000 + round, before, round, err))
            return false;
        if (comm->rank != 0 && !send_bytes(comm, 1000 + round, next, round, err))
            return false;
    }
    return true;
}

bool case_mixture(struct comm *comm, struct error *err)
{
    struct random_floats random = random_floats_make(11); /* the same on every rank */
    size_t *n_bytes = memory_alloc((size_t)comm->size, sizeof *n_bytes);
    bool ok = true;
    for (uint64_t step = 0; ok && step < 400; step++) {
        const uint64_t kind = random_bits(&random) % 4, size = random_bits(&random) % 3000;
        const int root = (int)(random_bits(&random) % (uint64_t)comm->size);
        if (kind == 0) {
            for (int rank = 0; rank < comm->size; rank++)
                n_bytes[rank] = random_bits(&random) % 3 == 0 ? 0 : size;
            ok = gather_once(comm, n_bytes, step % 2, step, err);
        } else if (kind == 1) {
            ok = reduce_once(comm, MAX_LEAVES, size / 8, step % 2, step, err);
        } else {
            ok = broadcast_once(comm, size, root, kind == 2, step, err);
        }
    }
    memory_free(n_bytes);
    return ok;
}
