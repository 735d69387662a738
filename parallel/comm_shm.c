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
 * Sums are made of one segment or two (comm_shm_sum.c). send and receive are between two ranks, so
 * they stay out of this count (comm_shm_pair.c).
 *
 * A seat also says which call it is in, so ranks that are out of step get an error and not each
 * other's numbers. A rank that is gone is noticed by the deadline, or by the watchdog. */
#include "parallel/comm_shm_state.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/pieces.h"
#include "parallel/watchdog.h"

#include <string.h>

static const int64_t WATCH_NS = 50000000; /* between two looks whether a rank is lost */

static int64_t min_time(int64_t a, int64_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------ a call and its segments -- */

/* 28 bits of the size are enough to notice a bug; the kind goes in clear, to be named. */
static uint32_t signature(const struct call *call)
{
    const uint64_t mixed = call->size * 0x9e3779b97f4a7c15u; /* golden ratio: Knuth, 6.4 */
    return (uint32_t)call->kind << 28 | (uint32_t)(mixed >> 36);
}

/* Nobody wakes us when a rank is lost, so no sleep is longer than WATCH_NS. */
bool shm_wait_until(struct shm *shm, struct counter *counter, uint64_t value)
{
    int64_t spin_ns = shm->settings.spin_ns;
    if (counter_get(counter) >= value)
        return true;
    do {
        const int64_t until = min_time(shm->call.give_up_at, clock_now_ns() + WATCH_NS);
        if (counter_wait(counter, value, spin_ns, until))
            return true;
        spin_ns = 0;
    } while (!call_is_over(&shm->call, clock_now_ns()) &&
             watchdog_lost(shm->settings.watchdog) < 0);
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
    return shm_wait_until(shm, &shm->seat[rank].segment, segment) ||
           missing(shm, rank, segment, err);
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

bool shm_segment_begin(struct shm *shm, bool write, struct error *err)
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

void shm_segment_publish(struct shm *shm)
{
    struct seat *mine = &shm->seat[shm->comm.rank];
    atomic_store_explicit(&mine->call, shm->segment << 32 | signature(&shm->call),
                          memory_order_relaxed);
    counter_raise(&mine->segment, shm->segment);
}

bool shm_segment_collect(struct shm *shm, struct error *err)
{
    if (!wait_for_all(shm, shm->segment, err))
        return false;
    for (int rank = 0; rank < shm->comm.size; rank++)
        if (rank != shm->comm.rank && !is_same_call(shm, rank, err))
            return false;
    return true;
}

/* ---------------------------------------------------------------------- gather and broadcast -- */

static bool gather_segment(struct shm *shm, unsigned char *all, const unsigned char *mine,
                           const size_t *n_bytes, size_t at, struct error *err)
{
    const int rank = shm->comm.rank;
    const size_t n_mine = piece(n_bytes[rank], at, SLOT_BYTES);
    if (!shm_segment_begin(shm, n_mine > 0, err))
        return false;
    if (n_mine > 0)
        copy(slot_of(shm, rank), mine + at, n_mine);
    shm_segment_publish(shm);
    if (!shm_segment_collect(shm, err))
        return false;
    unsigned char *to = all;
    for (int from = 0; from < shm->comm.size; from++) {
        const size_t n = piece(n_bytes[from], at, SLOT_BYTES);
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
    bool ok = call_begin(&shm->call, CALL_ALL_GATHER, sizes, comm, &shm->settings, err);
    for (size_t at = 0; ok && at < most; at += SLOT_BYTES)
        ok = gather_segment(shm, all, mine, n_bytes, at, err);
    if (ok && n_bytes[comm->rank] > 0)
        copy((unsigned char *)all + before, mine, n_bytes[comm->rank]);
    return call_end(&shm->call, ok);
}

static bool broadcast_segment(struct shm *shm, unsigned char *bytes, size_t n_bytes, int root,
                              struct error *err)
{
    const bool mine = shm->comm.rank == root;
    if (!shm_segment_begin(shm, mine, err))
        return false;
    if (mine)
        memcpy(slot_of(shm, root), bytes, n_bytes);
    shm_segment_publish(shm);
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
    bool ok = call_begin(&shm->call, CALL_BROADCAST, n_bytes, comm, &shm->settings, err);
    for (size_t at = 0; ok && at < n_bytes; at += SLOT_BYTES) {
        call_wait_or_hurry(&shm->call, comm, &shm->settings, idle && comm->rank != root, at == 0);
        ok = broadcast_segment(shm, (unsigned char *)bytes + at, piece(n_bytes, at, SLOT_BYTES),
                               root, err);
    }
    return call_end(&shm->call, ok);
}

/* ---------------------------------------------------------------------------- open and close -- */

/* Only a GPU records. */
static void shm_replayed(struct comm *comm, const struct comm_record *record)
{
    (void)comm;
    check(record->n_calls == 0);
}

static _Atomic uint64_t *shm_board(struct comm *comm, int rank)
{
    check(0 <= rank && rank < comm->size);
    return &shm_of(comm)->seat[rank].board;
}

static void shm_close(struct comm *comm) { memory_free(shm_of(comm)); }

static const struct comm_ops ops = {
    .name = "shm",
    .tree_reduce = shm_tree_reduce,
    .all_gather = shm_all_gather,
    .broadcast = shm_broadcast,
    .send = shm_send,
    .receive = shm_receive,
    .replayed = shm_replayed,
    .board = shm_board,
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
