/* A group of one: the smallest communicator, and the one to copy for a new one. */
#include "parallel/comm.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>

static bool self_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                             int n_leaves, size_t count, struct error *err)
{
    (void)comm, (void)n_leaves, (void)err;
    check(device == NULL || sum == parts);
    if (sum != parts && count > 0)
        memcpy(sum, parts, count * sizeof *sum); /* one run, so one part: the sum itself */
    return true;
}

static bool self_all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                            const size_t *n_bytes, struct error *err)
{
    (void)comm, (void)err;
    check(device == NULL || all == mine);
    if (all != mine && n_bytes[0] > 0)
        memcpy(all, mine, n_bytes[0]);
    return true;
}

static bool self_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                           struct error *err)
{
    (void)comm, (void)bytes, (void)n_bytes, (void)idle, (void)err;
    check(root == 0);
    return true;
}

static bool self_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes,
                      int to, struct error *err)
{
    (void)device, (void)bytes, (void)n_bytes, (void)to, (void)err;
    check(comm->size > 1); /* there is nobody else */
    return false;
}

static bool self_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes,
                         int from, bool idle, struct error *err)
{
    (void)idle;
    return self_send(comm, device, bytes, n_bytes, from, err);
}

static void self_replayed(struct comm *comm, const struct comm_record *record)
{
    (void)comm, (void)record;
}

static _Atomic uint64_t *self_board(struct comm *comm, int rank)
{
    (void)comm, (void)rank;
    return NULL;
}

static void self_close(struct comm *comm) { memory_free(comm); }

static const struct comm_ops ops = {
    .name = "self",
    .tree_reduce = self_tree_reduce,
    .all_gather = self_all_gather,
    .broadcast = self_broadcast,
    .send = self_send,
    .receive = self_receive,
    .replayed = self_replayed,
    .board = self_board,
    .close = self_close,
};

bool comm_open_self(struct comm **out, struct error *err)
{
    (void)err;
    struct comm *comm = memory_alloc(1, sizeof *comm);
    *comm = (struct comm){.ops = &ops, .rank = 0, .size = 1};
    *out = comm;
    return true;
}
