/* Ranks that share memory: a seat for each, two slots for its data, and counters.
 *
 * Every call is a sequence of segments, the same on every rank. In a segment a rank
 *     1. fills its slot, if it has something to say;
 *     2. raises its seat's counter to the number of the segment;
 *     3. waits for the seats of those whose data it needs;
 *     4. reads their slots.
 * So a counter at s says two things: the data of segment s is there, and this rank has read
 * everything of the segments before s. Segment s uses slot s % 2, and its writer first waits
 * until all seats are beyond the segment that it last wrote there; where everyone waits for
 * everyone that is already so, and nobody waits twice.
 *
 * A sum is one segment for small payloads (everyone reads everything and adds the whole tree), two
 * for large ones (everyone adds its slice of the columns, then all collect the slices); larger
 * payloads than a slot come as several. send and receive are between two ranks, so they stay out
 * of this count: every sender has two envelopes of its own, and two counters with each peer.
 *
 * A seat also says which call it is in, so ranks that are out of step get an error and not each
 * other's numbers. A rank that is gone is noticed by the deadline, or by the watchdog. */
#include "parallel/comm.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/call.h"
#include "parallel/counter.h"
#include "parallel/watchdog.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

enum {
    SLOT_BYTES = 256 << 10,
    ENVELOPE_BYTES = 128 << 10,
    SLOT_FLOATS = SLOT_BYTES / sizeof(float),
    LINE_FLOATS = 16,          /* of a cache line: where slices and segments begin */
    ONE_SHOT_BYTES = 32 << 10, /* largest sum that every rank adds whole (see README.md) */
};

static const int64_t WATCH_NS = 50000000; /* between two looks whether a rank is lost */

/* Two cache lines, because the hardware fetches them in pairs. */
struct seat {
    alignas(128) struct counter segment;
    _Atomic uint64_t call; /* low half of the segment's number << 32 | signature of the call */
};

/* From one rank to another. The sender fills envelope[n % 2] and length[n % 2], then sends n. */
struct channel {
    alignas(64) struct counter sent;
    struct counter taken;
    uint64_t length[2];
    uint32_t envelope[2]; /* which of the sender's */
};

struct shm {
    struct comm comm; /* first: a struct shm is a comm */
    struct comm_settings settings;
    struct seat *seat;        /* [size] */
    struct channel *channel;  /* [size from][size to] */
    unsigned char *slots;     /* [size][2][SLOT_BYTES] */
    unsigned char *envelopes; /* [size][2][ENVELOPE_BYTES] */

    struct call call;
    uint64_t segment;    /* the last one */
    uint64_t written[2]; /* the last one that this rank wrote in slot 0 and 1; 0: none */
    uint64_t n_posted;   /* envelopes that this rank has sent */
    struct posted {
        int to;
        uint64_t n; /* 0: this envelope was never used */
    } posted[2];
    struct tree_layout layout; /* of the last tree_reduce */
    bool failed;
};

static struct shm *shm_of(struct comm *comm) { return (struct shm *)comm; }

static unsigned char *slot_of(const struct shm *shm, int rank)
{
    return shm->slots + ((size_t)rank * 2 + shm->segment % 2) * SLOT_BYTES;
}

static unsigned char *envelope_of(const struct shm *shm, int rank, uint32_t which)
{
    return shm->envelopes + ((size_t)rank * 2 + which) * ENVELOPE_BYTES;
}

static struct channel *channel_of(const struct shm *shm, int from, int to)
{
    return &shm->channel[(size_t)from * (size_t)shm->comm.size + (size_t)to];
}

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static int64_t min_time(int64_t a, int64_t b) { return a < b ? a : b; }

static void copy(void *to, const void *from, size_t n_bytes)
{
    if (n_bytes > 0 && to != from)
        memcpy(to, from, n_bytes);
}

/* ------------------------------------------------------------------ a call and its segments -- */

static bool begin(struct shm *shm, enum call_kind kind, uint64_t size, struct error *err)
{
    call_begin(&shm->call, kind, size, &shm->settings);
    call_extend(&shm->call, shm->comm.patience_ns);
    if (shm->failed)
        return error_set(err, ERROR_PEER, "%s after this group of ranks has failed",
                         call_name(kind));
    return true;
}

static bool end(struct shm *shm, bool ok)
{
    shm->failed = !ok;
    return ok;
}

/* An idle call waits for its first piece for ever; then the other side has come, and hurries. */
static void wait_or_hurry(struct shm *shm, bool idle, bool is_first)
{
    if (idle && is_first)
        shm->call.give_up_at = INT64_MAX;
    else if (idle)
        call_set_deadline(&shm->call, &shm->settings);
}

/* 28 bits of the size are enough to notice a bug; the kind goes in clear, to be named. */
static uint32_t signature(const struct call *call)
{
    const uint64_t mixed = call->size * 0x9e3779b97f4a7c15u; /* golden ratio: Knuth, 6.4 */
    return (uint32_t)call->kind << 28 | (uint32_t)(mixed >> 36);
}

/* False when the counter is not there by the deadline of the call, or a rank of this host is lost:
 * nobody wakes us for that, so no sleep is longer than WATCH_NS. */
static bool wait_until(const struct shm *shm, struct counter *counter, uint64_t value)
{
    const int64_t give_up_at = shm->call.give_up_at;
    int64_t spin_ns = shm->settings.spin_ns, until = give_up_at;
    if (counter_get(counter) >= value)
        return true;
    do {
        if (shm->settings.watchdog != NULL)
            until = min_time(give_up_at, clock_now_ns() + WATCH_NS);
        if (counter_wait(counter, value, spin_ns, until))
            return true;
        spin_ns = 0;
    } while (until < give_up_at && watchdog_lost(shm->settings.watchdog) < 0);
    return false;
}

/* `rank` has not come to `segment`, and maybe others: an error that names them. */
static bool missing(struct shm *shm, int rank, uint64_t segment, struct error *err)
{
    if (!call_check_watchdog(&shm->call, &shm->settings, err))
        return false;
    bool *is_missing = memory_alloc((size_t)shm->comm.size, sizeof *is_missing);
    for (int r = 0; r < shm->comm.size; r++)
        is_missing[r] = r != shm->comm.rank && counter_get(&shm->seat[r].segment) < segment;
    is_missing[rank] = true; /* though it may have come while we looked: too late */
    call_missing(&shm->call, is_missing, shm->comm.size, err);
    memory_free(is_missing);
    return false;
}

static bool wait_for_rank(struct shm *shm, int rank, uint64_t segment, struct error *err)
{
    return wait_until(shm, &shm->seat[rank].segment, segment) || missing(shm, rank, segment, err);
}

/* The others in turn, from the next one on, so that not all look at the same seat first. */
static bool wait_for_all(struct shm *shm, uint64_t segment, struct error *err)
{
    for (int i = 1; i < shm->comm.size; i++)
        if (!wait_for_rank(shm, (shm->comm.rank + i) % shm->comm.size, segment, err))
            return false;
    return true;
}

/* A seat that has gone on to a later segment has a later call; it was checked by those whom it
 * waited for. */
static bool is_same_call(struct shm *shm, int rank, struct error *err)
{
    const uint64_t theirs = atomic_load_explicit(&shm->seat[rank].call, memory_order_relaxed);
    if (theirs >> 32 != (uint32_t)shm->segment || (uint32_t)theirs == signature(&shm->call))
        return true;
    return call_differs(&shm->call, rank, (enum call_kind)((uint32_t)theirs >> 28), err);
}

/* The next segment begins. With `write`, slot_of(this rank) is then free to be filled. */
static bool segment_begin(struct shm *shm, bool write, struct error *err)
{
    shm->segment++;
    if (!write)
        return true;
    uint64_t *written = &shm->written[shm->segment % 2];
    if (*written > 0 && !wait_for_all(shm, *written + 1, err))
        return false;
    *written = shm->segment;
    return true;
}

static void segment_publish(struct shm *shm)
{
    struct seat *mine = &shm->seat[shm->comm.rank];
    atomic_store_explicit(&mine->call, shm->segment << 32 | signature(&shm->call),
                          memory_order_relaxed);
    counter_raise(&mine->segment, shm->segment);
}

static bool segment_collect(struct shm *shm, struct error *err)
{
    if (!wait_for_all(shm, shm->segment, err))
        return false;
    for (int rank = 0; rank < shm->comm.size; rank++)
        if (rank != shm->comm.rank && !is_same_call(shm, rank, err))
            return false;
    return true;
}

/* -------------------------------------------------------------------------------------- sums -- */

/* `count` columns of the parts of this rank, whose rows are `stride` floats apart. */
struct columns {
    float *sum, *parts;
    size_t stride, count;
};

/* The slice of `count` columns that a rank adds up in the two-shot sum. */
static size_t slice_begin(const struct shm *shm, size_t count, int rank)
{
    const size_t lines = (count + LINE_FLOATS - 1) / LINE_FLOATS;
    const size_t size = (size_t)shm->comm.size;
    return min_size(count, (lines + size - 1) / size * LINE_FLOATS * (size_t)rank);
}

/* Adds up columns [lo, hi) of everyone's parts; this rank's own do not pass through its slot. */
static void sum_slots(struct shm *shm, const struct columns *columns, size_t lo, size_t hi)
{
    const struct tree_layout *layout = &shm->layout;
    const float *part[MAX_LEAVES];
    for (int rank = 0; rank < shm->comm.size; rank++) {
        const float *slot = (const float *)(const void *)slot_of(shm, rank);
        const bool mine = rank == shm->comm.rank;
        const int first = layout->first_part[rank];
        for (int p = first; p < layout->first_part[rank + 1]; p++)
            part[p] = lo + (mine ? columns->parts + (size_t)(p - first) * columns->stride
                                 : slot + (size_t)(p - first) * columns->count);
    }
    tree_sum(layout, columns->sum + lo, part, hi - lo);
}

/* Everyone's parts to everyone, but for columns [lo, hi) of this rank. */
static bool share_parts(struct shm *shm, const struct columns *columns, size_t lo, size_t hi,
                        struct error *err)
{
    if (!segment_begin(shm, true, err))
        return false;
    const struct tree_layout *layout = &shm->layout;
    const int rank = shm->comm.rank;
    const int n_parts = layout->first_part[rank + 1] - layout->first_part[rank];
    for (int p = 0; p < n_parts; p++) {
        const float *from = columns->parts + (size_t)p * columns->stride;
        float *to = (float *)(void *)slot_of(shm, rank) + (size_t)p * columns->count;
        copy(to, from, lo * sizeof *to);
        copy(to + hi, from + hi, (columns->count - hi) * sizeof *to);
    }
    segment_publish(shm);
    return segment_collect(shm, err);
}

static bool reduce_one_shot(struct shm *shm, const struct columns *columns, struct error *err)
{
    if (!share_parts(shm, columns, 0, 0, err))
        return false;
    sum_slots(shm, columns, 0, columns->count);
    return true;
}

static bool reduce_two_shot(struct shm *shm, const struct columns *columns, struct error *err)
{
    const int rank = shm->comm.rank;
    const size_t lo = slice_begin(shm, columns->count, rank);
    const size_t hi = slice_begin(shm, columns->count, rank + 1);
    if (!share_parts(shm, columns, lo, hi, err))
        return false;
    sum_slots(shm, columns, lo, hi);

    if (!segment_begin(shm, true, err))
        return false;
    copy(slot_of(shm, rank), columns->sum + lo, (hi - lo) * sizeof *columns->sum);
    segment_publish(shm);
    if (!segment_collect(shm, err))
        return false;
    for (int from = 0; from < shm->comm.size; from++) {
        const size_t begin = slice_begin(shm, columns->count, from);
        const size_t n = slice_begin(shm, columns->count, from + 1) - begin;
        if (from != rank)
            copy(columns->sum + begin, slot_of(shm, from), n * sizeof *columns->sum);
    }
    return true;
}

static bool shm_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                            int n_leaves, size_t count, struct error *err)
{
    (void)device;
    struct shm *shm = shm_of(comm);
    if (!begin(shm, CALL_TREE_REDUCE, count * MAX_LEAVES + (size_t)n_leaves, err))
        return false;
    if (shm->layout.n_leaves != n_leaves)
        shm->layout = tree_layout_make(n_leaves, comm->size);
    const size_t most_parts = (size_t)shm->layout.most_parts;
    const size_t room = SLOT_FLOATS / most_parts / LINE_FLOATS * LINE_FLOATS;
    const bool two_shot = comm->size > 2 && count * most_parts * sizeof *sum > ONE_SHOT_BYTES;
    bool ok = true;
    for (size_t at = 0; ok && at < count; at += room) {
        const struct columns columns = {.sum = sum + at,
                                        .parts = parts + at,
                                        .stride = count,
                                        .count = min_size(room, count - at)};
        ok = two_shot ? reduce_two_shot(shm, &columns, err) : reduce_one_shot(shm, &columns, err);
    }
    return end(shm, ok);
}

/* ---------------------------------------------------------------------- gather and broadcast -- */

/* Bytes of a segment at `at` out of `n_bytes`. */
static size_t piece(size_t n_bytes, size_t at)
{
    return at < n_bytes ? min_size(n_bytes - at, SLOT_BYTES) : 0;
}

static bool gather_segment(struct shm *shm, unsigned char *all, const unsigned char *mine,
                           const size_t *n_bytes, size_t at, struct error *err)
{
    const int rank = shm->comm.rank;
    const size_t n_mine = piece(n_bytes[rank], at);
    if (!segment_begin(shm, n_mine > 0, err))
        return false;
    if (n_mine > 0)
        copy(slot_of(shm, rank), mine + at, n_mine);
    segment_publish(shm);
    if (!segment_collect(shm, err))
        return false;
    unsigned char *to = all;
    for (int from = 0; from < shm->comm.size; from++) {
        const size_t n = piece(n_bytes[from], at);
        if (from != rank && n > 0)
            copy(to + at, slot_of(shm, from), n);
        to += n_bytes[from];
    }
    return true;
}

static bool shm_all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                           const size_t *n_bytes, struct error *err)
{
    (void)device;
    struct shm *shm = shm_of(comm);
    size_t before = 0, most = 0;
    uint64_t sizes = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        before += rank < comm->rank ? n_bytes[rank] : 0;
        most = n_bytes[rank] > most ? n_bytes[rank] : most;
        sizes = sizes * 31 + n_bytes[rank];
    }
    bool ok = begin(shm, CALL_ALL_GATHER, sizes, err);
    for (size_t at = 0; ok && at < most; at += SLOT_BYTES)
        ok = gather_segment(shm, all, mine, n_bytes, at, err);
    if (ok && n_bytes[comm->rank] > 0)
        copy((unsigned char *)all + before, mine, n_bytes[comm->rank]);
    return end(shm, ok);
}

static bool broadcast_segment(struct shm *shm, unsigned char *bytes, size_t n_bytes, int root,
                              struct error *err)
{
    const bool mine = shm->comm.rank == root;
    if (!segment_begin(shm, mine, err))
        return false;
    if (mine)
        memcpy(slot_of(shm, root), bytes, n_bytes);
    segment_publish(shm);
    if (mine)
        return true;
    if (!wait_for_rank(shm, root, shm->segment, err) || !is_same_call(shm, root, err))
        return false;
    memcpy(bytes, slot_of(shm, root), n_bytes);
    return true;
}

static bool shm_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                          struct error *err)
{
    check(0 <= root && root < comm->size);
    struct shm *shm = shm_of(comm);
    bool ok = begin(shm, CALL_BROADCAST, n_bytes, err);
    for (size_t at = 0; ok && at < n_bytes; at += SLOT_BYTES) {
        wait_or_hurry(shm, idle && comm->rank != root, at == 0);
        ok = broadcast_segment(shm, (unsigned char *)bytes + at, piece(n_bytes, at), root, err);
    }
    return end(shm, ok);
}

/* -------------------------------------------------------------------------- send and receive -- */

static bool peer_missing(struct shm *shm, int peer, struct error *err)
{
    if (!call_check_watchdog(&shm->call, &shm->settings, err))
        return false;
    bool *is_missing = memory_alloc((size_t)shm->comm.size, sizeof *is_missing);
    is_missing[peer] = true;
    call_missing(&shm->call, is_missing, shm->comm.size, err);
    memory_free(is_missing);
    return false;
}

static bool post(struct shm *shm, const unsigned char *bytes, size_t n_bytes, int to,
                 struct error *err)
{
    const uint32_t which = shm->n_posted++ % 2;
    struct posted *before = &shm->posted[which];
    if (before->n > 0 &&
        !wait_until(shm, &channel_of(shm, shm->comm.rank, before->to)->taken, before->n))
        return peer_missing(shm, before->to, err);
    struct channel *channel = channel_of(shm, shm->comm.rank, to);
    const uint64_t n = counter_get(&channel->sent) + 1;
    copy(envelope_of(shm, shm->comm.rank, which), bytes, n_bytes);
    channel->length[n % 2] = n_bytes;
    channel->envelope[n % 2] = which;
    *before = (struct posted){.to = to, .n = n};
    counter_raise(&channel->sent, n);
    return true;
}

static bool take(struct shm *shm, unsigned char *bytes, size_t n_bytes, int from, struct error *err)
{
    struct channel *channel = channel_of(shm, from, shm->comm.rank);
    const uint64_t n = counter_get(&channel->taken) + 1;
    if (!wait_until(shm, &channel->sent, n))
        return peer_missing(shm, from, err);
    if (channel->length[n % 2] != n_bytes)
        return call_differs(&shm->call, from, CALL_RECEIVE, err);
    copy(bytes, envelope_of(shm, from, channel->envelope[n % 2]), n_bytes);
    counter_raise(&channel->taken, n);
    return true;
}

static bool shm_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes,
                     int to, struct error *err)
{
    (void)device;
    check(0 <= to && to < comm->size && to != comm->rank);
    struct shm *shm = shm_of(comm);
    bool ok = begin(shm, CALL_SEND, n_bytes, err);
    for (size_t at = 0; ok && at < n_bytes; at += ENVELOPE_BYTES)
        ok = post(shm, (const unsigned char *)bytes + at, min_size(n_bytes - at, ENVELOPE_BYTES),
                  to, err);
    return end(shm, ok);
}

static bool shm_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes,
                        int from, bool idle, struct error *err)
{
    (void)device;
    check(0 <= from && from < comm->size && from != comm->rank);
    struct shm *shm = shm_of(comm);
    bool ok = begin(shm, CALL_RECEIVE, n_bytes, err);
    for (size_t at = 0; ok && at < n_bytes; at += ENVELOPE_BYTES) {
        wait_or_hurry(shm, idle, at == 0);
        ok = take(shm, (unsigned char *)bytes + at, min_size(n_bytes - at, ENVELOPE_BYTES), from,
                  err);
    }
    return end(shm, ok);
}

/* ---------------------------------------------------------------------------- open and close -- */

static void shm_close(struct comm *comm) { memory_free(shm_of(comm)); }

static const struct comm_ops ops = {
    .name = "shm",
    .tree_reduce = shm_tree_reduce,
    .all_gather = shm_all_gather,
    .broadcast = shm_broadcast,
    .send = shm_send,
    .receive = shm_receive,
    .close = shm_close,
};

/* Slots and envelopes begin at pages. */
static size_t whole_pages(size_t n_bytes) { return (n_bytes + 4095) / 4096 * 4096; }

static size_t seats_bytes(size_t size) { return whole_pages(size * sizeof(struct seat)); }

static size_t channels_bytes(size_t size)
{
    return whole_pages(size * size * sizeof(struct channel));
}

size_t comm_shm_bytes(int size)
{
    check(size > 0);
    const size_t n = (size_t)size;
    return seats_bytes(n) + channels_bytes(n) + n * 2 * (SLOT_BYTES + ENVELOPE_BYTES);
}

bool comm_open_shm(struct comm **out, void *memory, int rank, int size,
                   const struct comm_settings *settings, struct error *err)
{
    (void)err;
    check(0 <= rank && rank < size && settings->deadline_ns > 0 && settings->spin_ns >= 0);
    check((uintptr_t)memory % alignof(struct seat) == 0);
    const size_t n = (size_t)size;
    unsigned char *at = memory;
    struct shm *shm = memory_alloc(1, sizeof *shm);
    *shm = (struct shm){
        .comm = {.ops = &ops, .rank = rank, .size = size},
        .settings = *settings,
        .seat = memory,
        .channel = (struct channel *)(void *)(at + seats_bytes(n)),
        .slots = at + seats_bytes(n) + channels_bytes(n),
        .envelopes = at + seats_bytes(n) + channels_bytes(n) + n * 2 * SLOT_BYTES,
    };
    *out = &shm->comm;
    return true;
}
