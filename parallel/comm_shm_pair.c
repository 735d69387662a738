/* Between two ranks: every sender has two envelopes of its own, and two counters with each peer. */
#include "parallel/comm_shm_state.h"

#include "base/check.h"
#include "base/memory.h"
#include "parallel/pieces.h"

static unsigned char *envelope_of(const struct shm *shm, int rank, uint32_t which)
{
    return shm->envelopes + ((size_t)rank * 2 + which) * ENVELOPE_BYTES;
}

static struct channel *channel_of(const struct shm *shm, int from, int to)
{
    return &shm->channel[(size_t)from * (size_t)shm->comm.size + (size_t)to];
}

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
        !shm_wait_until(shm, &channel_of(shm, shm->comm.rank, before->to)->taken, before->n))
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
    if (!shm_wait_until(shm, &channel->sent, n))
        return peer_missing(shm, from, err);
    if (channel->length[n % 2] != n_bytes)
        return call_differs(&shm->call, from, CALL_RECEIVE, err);
    copy(bytes, envelope_of(shm, from, channel->envelope[n % 2]), n_bytes);
    counter_raise(&channel->taken, n);
    return true;
}

bool shm_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes, int to,
              struct error *err)
{
    (void)device;
    check(0 <= to && to < comm->size && to != comm->rank);
    struct shm *shm = shm_of(comm);
    bool ok = call_begin(&shm->call, CALL_SEND, n_bytes, comm, &shm->settings, err);
    for (size_t at = 0; ok && at < n_bytes; at += ENVELOPE_BYTES)
        ok = post(shm, (const unsigned char *)bytes + at, min_size(n_bytes - at, ENVELOPE_BYTES),
                  to, err);
    return call_end(&shm->call, ok);
}

bool shm_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes, int from,
                 bool idle, struct error *err)
{
    (void)device;
    check(0 <= from && from < comm->size && from != comm->rank);
    struct shm *shm = shm_of(comm);
    bool ok = call_begin(&shm->call, CALL_RECEIVE, n_bytes, comm, &shm->settings, err);
    for (size_t at = 0; ok && at < n_bytes; at += ENVELOPE_BYTES) {
        call_wait_or_hurry(&shm->call, comm, &shm->settings, idle, at == 0);
        ok = take(shm, (unsigned char *)bytes + at, min_size(n_bytes - at, ENVELOPE_BYTES), from,
                  err);
    }
    return call_end(&shm->call, ok);
}
