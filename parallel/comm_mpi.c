/* Ranks on several hosts, with MPI's non-blocking messages between pairs and nothing else.
 *
 * MPI's own collectives are not used: they choose the order of a sum by the size of the group, a
 * blocking one burns a core and never gives up, and none can say who is missing. Here every step
 * of a call starts its messages, tests them until all are done or the deadline passes, and names
 * the peers of those that are not.
 *
 * MPI moves a large message only while we test it, so a rank looks without a pause for as long as
 * its bytes need, and spin_ns longer. Then it sleeps between two looks, a fraction of what it
 * already waited: an idle rank costs nothing, and none comes much later than it could.
 *
 * Messages of a pair keep their order, and the tag is the kind of the call: a rank that makes
 * another call is missed, one that sends another size is noticed.
 *
 * MPI-3.1 only. MPI was initialised with MPI_THREAD_SERIALIZED at least. */
#include "parallel/comm_mpi.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/comm_mpi_state.h"
#include "parallel/pieces.h"

#include <mpi.h>
#include <stdio.h>

enum {
    MESSAGE_BYTES = 64 << 20,    /* largest message: far below MPI's limit of an int */
    BYTES_PER_NS = 1,            /* what a link moves at least (10 Gbit/s), while it is looked at */
    SLEEP_LEAST_NS = 10 * 1000,  /* between two looks: */
    SLEEP_FRACTION = 16,         /* this part of the time waited, up to */
    SLEEP_BUSY_NS = 50 * 1000,   /* this, in a call that others wait for too, */
    SLEEP_IDLE_NS = 5000 * 1000, /* or this, between two steps */
};

/* Under way: those of one step of a call. */
struct messages {
    MPI_Comm group;
    MPI_Request *request; /* [2 * size] those done are MPI_REQUEST_NULL */
    struct message {
        int peer, n_bytes;
        bool receive;
    } * message;        /* [2 * size] the same messages */
    MPI_Status *status; /* [2 * size] */
    int n;
};

/* ---------------------------------------------------------------------------------- messages -- */

bool mpi_error(struct error *err, const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int len = 0;
    if (MPI_Error_string(code, text, &len) != MPI_SUCCESS)
        snprintf(text, sizeof text, "MPI error %d", code);
    return error_set(err, ERROR_PEER, "%s: %s", what, text);
}

static bool call_error(struct mpi *mpi, int code, struct error *err)
{
    char what[64];
    snprintf(what, sizeof what, "%s #%llu", call_name(mpi->call.kind),
             (unsigned long long)mpi->call.number);
    return mpi_error(err, what, code);
}

/* Nothing is sent for 0 bytes: both sides know the size. */
static bool start(struct mpi *mpi, bool receive, void *bytes, size_t n_bytes, int peer,
                  struct error *err)
{
    struct messages *m = mpi->under_way;
    if (n_bytes == 0)
        return true;
    check(n_bytes <= MESSAGE_BYTES && m->n < 2 * mpi->comm.size);
    MPI_Request *request = &m->request[m->n];
    m->message[m->n++] =
        (struct message){.peer = peer, .n_bytes = (int)n_bytes, .receive = receive};
    const int n = (int)n_bytes;
    /* the receiver of a message calls it by the name that its sender has for it */
    const int tag = (int)(mpi->call.kind == CALL_RECEIVE ? CALL_SEND : mpi->call.kind);
    const int code = receive ? MPI_Irecv(bytes, n, MPI_BYTE, peer, tag, m->group, request)
                             : MPI_Isend(bytes, n, MPI_BYTE, peer, tag, m->group, request);
    return code == MPI_SUCCESS || call_error(mpi, code, err);
}

bool mpi_start_receive(struct mpi *mpi, void *bytes, size_t n_bytes, int from, struct error *err)
{
    return start(mpi, true, bytes, n_bytes, from, err);
}

bool mpi_start_send(struct mpi *mpi, const void *bytes, size_t n_bytes, int to, struct error *err)
{
    return start(mpi, false, (void *)(uintptr_t)bytes, n_bytes, to, err); /* only read */
}

/* Who has not come, by the messages that are still under way: first those from them; if there are
 * none of these, those to them. Testall leaves all as they are until all are done, so each is
 * tested once more alone. */
static bool missing(struct mpi *mpi, struct error *err)
{
    struct messages *m = mpi->under_way;
    bool *is_missing = memory_alloc((size_t)mpi->comm.size, sizeof *is_missing);
    bool any = false;
    for (int i = 0; i < m->n; i++) {
        int done = 0;
        if (MPI_Test(&m->request[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
            continue;
        is_missing[m->message[i].peer] |= m->message[i].receive;
        any |= m->message[i].receive;
    }
    for (int i = 0; !any && i < m->n; i++)
        is_missing[m->message[i].peer] |= m->request[i] != MPI_REQUEST_NULL;
    call_missing(&mpi->call, is_missing, mpi->comm.size, err);
    memory_free(is_missing);
    return false;
}

static bool check_sizes(struct mpi *mpi, struct error *err)
{
    struct messages *m = mpi->under_way;
    for (int i = 0; i < m->n; i++) {
        int n_bytes = 0;
        const struct message *message = &m->message[i];
        if (!message->receive)
            continue;
        const int code = MPI_Get_count(&m->status[i], MPI_BYTE, &n_bytes);
        if (code != MPI_SUCCESS)
            return call_error(mpi, code, err);
        if (n_bytes != message->n_bytes)
            return call_differs(&mpi->call, message->peer, mpi->call.kind, err);
    }
    return true;
}

/* A message that is longer than was expected is the one error with a name of its own. */
static bool test_error(struct mpi *mpi, int code, struct error *err)
{
    struct messages *m = mpi->under_way;
    for (int i = 0; code == MPI_ERR_IN_STATUS && i < m->n; i++)
        if (m->status[i].MPI_ERROR == MPI_ERR_TRUNCATE)
            return call_differs(&mpi->call, m->message[i].peer, mpi->call.kind, err);
    return call_error(mpi, code, err);
}

static int64_t bytes_under_way(const struct mpi *mpi)
{
    struct messages *m = mpi->under_way;
    int64_t n_bytes = 0;
    for (int i = 0; i < m->n; i++)
        n_bytes += m->message[i].n_bytes;
    return n_bytes;
}

/* Between two looks at messages that are waited for since `start_ns`. Ranks that share a CPU
 * (spin_ns 0) leave it to each other even while their bytes move. */
static void pause_between(const struct mpi *mpi, int64_t start_ns, int64_t now,
                          int64_t sleep_most_ns)
{
    const int64_t waited = now - start_ns, moving = bytes_under_way(mpi) / BYTES_PER_NS;
    if (waited < moving + mpi->settings.spin_ns) {
        if (mpi->settings.spin_ns == 0)
            system_yield();
        return;
    }
    const int64_t sleep = waited / SLEEP_FRACTION;
    system_sleep_ns(sleep < SLEEP_LEAST_NS  ? SLEEP_LEAST_NS
                    : sleep > sleep_most_ns ? sleep_most_ns
                                            : sleep);
}

/* The statuses of a Testall that is not complete are undefined, so they are looked at only at the
 * end. */
bool mpi_finish(struct mpi *mpi, bool idle, struct error *err)
{
    struct messages *m = mpi->under_way;
    const int64_t sleep_most_ns = idle ? SLEEP_IDLE_NS : SLEEP_BUSY_NS;
    int64_t start_ns = 0;
    for (;;) {
        int done = 0;
        const int code = MPI_Testall(m->n, m->request, &done, m->status);
        if (code != MPI_SUCCESS)
            return test_error(mpi, code, err);
        if (done)
            break;
        const int64_t now = clock_now_ns();
        start_ns = start_ns == 0 ? now : start_ns;
        if (!call_check_watchdog(&mpi->call, &mpi->settings, err))
            return false;
        if (call_is_over(&mpi->call, now))
            return missing(mpi, err);
        pause_between(mpi, start_ns, now, sleep_most_ns);
    }
    const bool ok = check_sizes(mpi, err);
    m->n = 0;
    return ok;
}

/* After a failure nothing of ours may be written later, by a message that comes after all. */
bool mpi_end(struct mpi *mpi, bool ok)
{
    struct messages *m = mpi->under_way;
    for (int i = 0; !ok && i < m->n; i++)
        if (m->request[i] != MPI_REQUEST_NULL) {
            MPI_Cancel(&m->request[i]);
            MPI_Request_free(&m->request[i]);
        }
    m->n = 0;
    return call_end(&mpi->call, ok);
}

/* ---------------------------------------------------------------- gather, broadcast, in pairs --
 */

static bool gather_pieces(struct mpi *mpi, unsigned char *all, const unsigned char *mine,
                          const size_t *n_bytes, size_t at, struct error *err)
{
    unsigned char *to = all;
    for (int peer = 0; peer < mpi->comm.size; peer++) {
        const size_t n_mine = piece(n_bytes[mpi->comm.rank], at, MESSAGE_BYTES);
        if (peer != mpi->comm.rank &&
            (!mpi_start_receive(mpi, to + at, piece(n_bytes[peer], at, MESSAGE_BYTES), peer, err) ||
             !mpi_start_send(mpi, mine + at, n_mine, peer, err)))
            return false;
        to += n_bytes[peer];
    }
    return mpi_finish(mpi, false, err);
}

static bool mpi_all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                           const size_t *n_bytes, struct error *err)
{
    (void)device;
    struct mpi *mpi = mpi_of(comm);
    size_t before = 0, most = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        before += rank < comm->rank ? n_bytes[rank] : 0;
        most = n_bytes[rank] > most ? n_bytes[rank] : most;
    }
    bool ok = call_begin(&mpi->call, CALL_ALL_GATHER, most, comm, &mpi->settings, err);
    for (size_t at = 0; ok && at < most; at += MESSAGE_BYTES)
        ok = gather_pieces(mpi, all, mine, n_bytes, at, err);
    if (ok)
        copy((unsigned char *)all + before, mine, n_bytes[comm->rank]);
    return mpi_end(mpi, ok);
}

static bool broadcast_piece(struct mpi *mpi, unsigned char *bytes, size_t n_bytes, int root,
                            bool idle, struct error *err)
{
    if (mpi->comm.rank != root)
        return mpi_start_receive(mpi, bytes, n_bytes, root, err) && mpi_finish(mpi, idle, err);
    for (int to = 0; to < mpi->comm.size; to++)
        if (to != root && !mpi_start_send(mpi, bytes, n_bytes, to, err))
            return false;
    return mpi_finish(mpi, false, err);
}

static bool mpi_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                          struct error *err)
{
    check(0 <= root && root < comm->size);
    struct mpi *mpi = mpi_of(comm);
    bool ok = call_begin(&mpi->call, CALL_BROADCAST, n_bytes, comm, &mpi->settings, err);
    for (size_t at = 0; ok && at < n_bytes; at += MESSAGE_BYTES) {
        const bool wait = idle && at == 0 && comm->rank != root;
        call_wait_or_hurry(&mpi->call, comm, &mpi->settings, idle && comm->rank != root, at == 0);
        ok = broadcast_piece(mpi, (unsigned char *)bytes + at, piece(n_bytes, at, MESSAGE_BYTES),
                             root, wait, err);
    }
    return mpi_end(mpi, ok);
}

static bool mpi_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes,
                     int to, struct error *err)
{
    (void)device;
    check(0 <= to && to < comm->size && to != comm->rank);
    struct mpi *mpi = mpi_of(comm);
    bool ok = call_begin(&mpi->call, CALL_SEND, n_bytes, comm, &mpi->settings, err);
    for (size_t at = 0; ok && at < n_bytes; at += MESSAGE_BYTES)
        ok = mpi_start_send(mpi, (const unsigned char *)bytes + at,
                            piece(n_bytes, at, MESSAGE_BYTES), to, err) &&
             mpi_finish(mpi, false, err);
    return mpi_end(mpi, ok);
}

static bool mpi_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes,
                        int from, bool idle, struct error *err)
{
    (void)device;
    check(0 <= from && from < comm->size && from != comm->rank);
    struct mpi *mpi = mpi_of(comm);
    bool ok = call_begin(&mpi->call, CALL_RECEIVE, n_bytes, comm, &mpi->settings, err);
    for (size_t at = 0; ok && at < n_bytes; at += MESSAGE_BYTES) {
        call_wait_or_hurry(&mpi->call, comm, &mpi->settings, idle, at == 0);
        ok = mpi_start_receive(mpi, (unsigned char *)bytes + at, piece(n_bytes, at, MESSAGE_BYTES),
                               from, err) &&
             mpi_finish(mpi, idle && at == 0, err);
    }
    return mpi_end(mpi, ok);
}

/* ---------------------------------------------------------------------------- open and close -- */

/* Only a GPU records. */
static void mpi_replayed(struct comm *comm, const struct comm_record *record)
{
    (void)comm;
    check(record->n_calls == 0);
}

static _Atomic uint64_t *mpi_board(struct comm *comm, int rank)
{
    (void)comm, (void)rank;
    return NULL;
}

/* The group itself is freed by MPI_Finalize: MPI_Comm_free may wait for the others. */
static void mpi_close(struct comm *comm)
{
    struct mpi *mpi = mpi_of(comm);
    memory_free(mpi->packed);
    memory_free(mpi->others);
    memory_free(mpi->under_way->request);
    memory_free(mpi->under_way->message);
    memory_free(mpi->under_way->status);
    memory_free(mpi->under_way);
    memory_free(mpi);
}

static const struct comm_ops ops = {
    .name = "mpi",
    .tree_reduce = mpi_tree_reduce,
    .all_gather = mpi_all_gather,
    .broadcast = mpi_broadcast,
    .send = mpi_send,
    .receive = mpi_receive,
    .replayed = mpi_replayed,
    .board = mpi_board,
    .close = mpi_close,
};

bool comm_open_mpi(struct comm **out, int color, int key, const struct comm_settings *settings,
                   struct error *err)
{
    check(settings->deadline_ns > 0 && settings->spin_ns >= 0);
    MPI_Comm group;
    int rank, size;
    *out = NULL;
    int code =
        MPI_Comm_split(MPI_COMM_WORLD, color == NO_GROUP ? MPI_UNDEFINED : color, key, &group);
    if (code == MPI_SUCCESS && color == NO_GROUP)
        return true;
    if (code == MPI_SUCCESS)
        code = MPI_Comm_set_errhandler(group, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_rank(group, &rank);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_size(group, &size);
    if (code != MPI_SUCCESS)
        return mpi_error(err, "splitting the ranks into groups", code);
    struct mpi *mpi = memory_alloc(1, sizeof *mpi);
    *mpi = (struct mpi){
        .comm = {.ops = &ops, .rank = rank, .size = size},
        .settings = *settings,
        .packed = memory_alloc(SEGMENT_FLOATS, sizeof *mpi->packed),
        .others = memory_alloc(comm_mpi_others_floats(size), sizeof *mpi->others),
        .under_way = memory_alloc(1, sizeof *mpi->under_way),
    };
    *mpi->under_way = (struct messages){
        .group = group,
        .request = memory_alloc(2 * (size_t)size, sizeof(MPI_Request)),
        .message = memory_alloc(2 * (size_t)size, sizeof(struct message)),
        .status = memory_alloc(2 * (size_t)size, sizeof(MPI_Status)),
    };
    *out = &mpi->comm;
    return true;
}
