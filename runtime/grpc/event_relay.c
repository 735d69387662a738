#include "runtime/grpc/event_relay.h"

#include "base/error.h"
#include "base/memory.h"

#include <grpc/support/time.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Tags are addresses of structs, so their lowest bit is free. */
enum { PATIENT = 1 };

void *event_relay_patient(void *tag) { return (char *)tag + PATIENT; }

/* With the lock. True: the caller has to wake() once it does not have it any more; who is woken
 * wants it. */
static bool must_wake(struct event_relay *relay)
{
    const bool was_awake = relay->is_awake;
    relay->is_awake = true;
    return !was_awake;
}

static void wake(const struct event_relay *relay)
{
    const uint64_t one = 1;
    /* It fails only when the counter is full, and then the descriptor is readable already. */
    const ssize_t n = write(relay->fd, &one, sizeof one);
    (void)n;
}

static void add(struct event_relay *relay, grpc_event event)
{
    const bool is_patient = ((uintptr_t)event.tag & PATIENT) != 0;
    pthread_mutex_lock(&relay->lock);
    if (relay->n_events == relay->capacity) {
        relay->capacity = relay->capacity == 0 ? 64 : relay->capacity * 2;
        relay->event = memory_resize(relay->event, (size_t)relay->capacity, sizeof *relay->event);
    }
    relay->event[relay->n_events++] =
        (struct relayed_event){(char *)event.tag - (is_patient ? PATIENT : 0), event.success != 0};
    /* what failed is about to end, and others wait for that */
    const bool wakes =
        (!is_patient || event.success == 0 || relay->n_hurried > 0) && must_wake(relay);
    pthread_mutex_unlock(&relay->lock);
    if (wakes)
        wake(relay);
}

/* Nothing came for a while: what was patient long enough, and who wants to be called. */
static void tick(struct event_relay *relay)
{
    const bool is_wanted = __atomic_load_n(&relay->n_ticking, __ATOMIC_RELAXED) > 0;
    pthread_mutex_lock(&relay->lock);
    const bool wakes = (is_wanted || relay->n_events > 0) && must_wake(relay);
    pthread_mutex_unlock(&relay->lock);
    if (wakes)
        wake(relay);
}

static void *run(void *context)
{
    struct event_relay *relay = context;
    for (;;) {
        const gpr_timespec deadline = gpr_time_add(
            gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(EVENT_RELAY_TICK_MS, GPR_TIMESPAN));
        const grpc_event event = grpc_completion_queue_next(relay->queue, deadline, NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE)
            add(relay, event);
        else
            tick(relay);
    }
}

grpc_completion_queue *event_relay_queue(void)
{
    const grpc_completion_queue_attributes attributes = {.version = GRPC_CQ_CURRENT_VERSION,
                                                         .cq_completion_type = GRPC_CQ_NEXT,
                                                         .cq_polling_type = GRPC_CQ_NON_POLLING};
    return grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&attributes),
                                        &attributes, NULL);
}

bool event_relay_open(struct event_relay *relay, grpc_completion_queue *queue, struct error *err)
{
    *relay = (struct event_relay){.queue = queue};
    relay->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->fd < 0)
        return error_errno(err, "cannot make an eventfd");
    pthread_mutex_init(&relay->lock, NULL);
    const int failure = pthread_create(&relay->thread, NULL, run, relay);
    if (failure == 0)
        return true;
    close(relay->fd);
    pthread_mutex_destroy(&relay->lock);
    return error_set(err, ERROR_SYSTEM, "cannot start a thread: %s", strerror(failure));
}

struct relayed_event *event_relay_take(struct event_relay *relay, int *n)
{
    uint64_t count;
    pthread_mutex_lock(&relay->lock);
    if (relay->is_awake && read(relay->fd, &count, sizeof count) == sizeof count)
        relay->is_awake = false; /* else who has said it is about to write, and it stays so */
    struct relayed_event *event = relay->event;
    const int capacity = relay->capacity;
    *n = relay->n_events;
    relay->event = relay->taken;
    relay->capacity = relay->taken_capacity;
    relay->n_events = 0;
    pthread_mutex_unlock(&relay->lock);
    relay->taken = event;
    relay->taken_capacity = capacity;
    return event;
}

void event_relay_hurry(struct event_relay *relay, int change)
{
    pthread_mutex_lock(&relay->lock);
    relay->n_hurried += change;
    const bool wakes = relay->n_hurried > 0 && relay->n_events > 0 && must_wake(relay);
    pthread_mutex_unlock(&relay->lock);
    if (wakes)
        wake(relay);
}

void event_relay_tick(struct event_relay *relay, int change)
{
    __atomic_add_fetch(&relay->n_ticking, change, __ATOMIC_RELAXED);
}

void event_relay_close(struct event_relay *relay)
{
    pthread_join(relay->thread, NULL);
    pthread_mutex_destroy(&relay->lock);
    close(relay->fd);
    memory_free(relay->event);
    memory_free(relay->taken);
}
