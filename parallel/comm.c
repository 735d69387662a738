#include "parallel/comm.h"

#include "base/check.h"
#include "base/system.h"
#include "parallel/call.h"

void comm_record_add(struct comm_record *record, const struct comm_run *run)
{
    struct comm_run *last = record->n_runs > 0 ? &record->run[record->n_runs - 1] : NULL;
    record->n_calls += run->n;
    record->n_bytes += run->n * run->n_bytes;
    record->n_common += run->peer < 0 ? run->n : 0;
    if (last != NULL &&
        (record->n_runs == COMM_RECORD_RUNS ||
         (last->kind == run->kind && last->peer == run->peer && last->n_bytes == run->n_bytes))) {
        last->n += run->n;
        last->n_told += run->n_told;
    } else {
        record->run[record->n_runs++] = *run;
    }
}

static bool note(struct comm *comm, enum call_kind kind, int peer, int64_t begin_ns, size_t n_bytes,
                 bool good)
{
    if (comm->record != NULL) { /* costs nothing yet; it counts when it is replayed */
        comm_record_add(
            comm->record,
            &(struct comm_run){.kind = (int)kind, .peer = peer, .n = 1, .n_bytes = n_bytes});
        return good;
    }
    comm->spent.n_calls++;
    comm->spent.n_bytes += n_bytes;
    comm->spent.ns += clock_now_ns() - begin_ns;
    return good;
}

bool comm_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                      int n_leaves, size_t count, struct error *err)
{
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->tree_reduce(comm, device, sum, parts, n_leaves, count, err);
    return note(comm, CALL_TREE_REDUCE, -1, begin, count * sizeof *sum, good);
}

bool comm_all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                     const size_t *n_bytes, struct error *err)
{
    size_t total = 0;
    for (int rank = 0; rank < comm->size; rank++)
        total += n_bytes[rank];
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->all_gather(comm, device, all, mine, n_bytes, err);
    return note(comm, CALL_ALL_GATHER, -1, begin, total, good);
}

bool comm_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                    struct error *err)
{
    check(comm->record == NULL); /* memory of the host */
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->broadcast(comm, bytes, n_bytes, root, idle, err);
    const bool waits = idle && comm->rank != root;
    return waits ? good : note(comm, CALL_BROADCAST, -1, begin, n_bytes, good);
}

bool comm_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes, int to,
               struct error *err)
{
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->send(comm, device, bytes, n_bytes, to, err);
    return note(comm, CALL_SEND, to, begin, n_bytes, good);
}

bool comm_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes, int from,
                  bool idle, struct error *err)
{
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->receive(comm, device, bytes, n_bytes, from, idle, err);
    return idle ? good : note(comm, CALL_RECEIVE, from, begin, n_bytes, good);
}

void comm_record_begin(struct comm *comm, struct comm_record *record)
{
    check(comm->record == NULL);
    *record = (struct comm_record){0};
    comm->record = record;
}

void comm_record_end(struct comm *comm)
{
    check(comm->record != NULL);
    comm->record = NULL;
}

void comm_replayed(struct comm *comm, const struct comm_record *record)
{
    check(comm->record == NULL);
    comm->spent.n_calls += record->n_calls;
    comm->spent.n_bytes += record->n_bytes;
    if (record->n_calls > 0)
        comm->ops->replayed(comm, record);
}

void comm_close(struct comm *comm)
{
    if (comm != NULL)
        comm->ops->close(comm);
}
