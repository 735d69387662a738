/* runtime/grpc/event_relay.h: events of a completion queue, brought to a thread with an event loop.
 *
 * One thread does nothing else: it puts what comes on a list and makes a descriptor readable. Its
 * queue does not poll, so it never works on a connection (pollers.h has who does). That a message
 * was sent is news that nobody waits for, unless there is more to send: it wakes the loop only
 * then, and else waits on the list for what does, or for the next turn of the loop.
 */
#pragma once
#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct error;

struct relayed_event {
    void *tag;
    bool ok;
};

struct event_relay {
    grpc_completion_queue *queue; /* borrowed */
    pthread_t thread;
    int fd; /* an eventfd */
    pthread_mutex_t lock;
    struct relayed_event *event, *taken; /* under the lock: those that came; outside: the batch */
    int n_events, capacity, taken_capacity;
    int n_hurried; /* under the lock */
    bool is_awake; /* under the lock: fd is readable, or about to be */
    int n_ticking; /* atomic: while it is not 0, fd is readable every TICK_MS too */
};
enum { EVENT_RELAY_TICK_MS = 250 };

grpc_completion_queue *event_relay_queue(void); /* a new one, for the caller */
bool event_relay_open(struct event_relay *relay, grpc_completion_queue *queue, struct error *err);
/* The tag to give to gRPC for an event that may wait. Its event has the tag as it was given here.
 */
void *event_relay_patient(void *tag);
/* One more, or one less, waits for an event that may wait: while there is one, none does. */
void event_relay_hurry(struct event_relay *relay, int change);
/* The events since the last call, valid until the next one. Cheap where there are none. */
struct relayed_event *event_relay_take(struct event_relay *relay, int *n);
/* One more, or one less, wants to be called every TICK_MS. */
void event_relay_tick(struct event_relay *relay, int change);
/* The queue is shut down and nothing more comes. */
void event_relay_close(struct event_relay *relay);
