#include "launcher/serve/session_events.h"

#include "base/memory.h"
#include "base/system.h"
#include "launcher/session.h"
#include "runtime/options/options.h"

#include <event2/event.h>
#include <poll.h>

enum { MAX_FILES = SESSION_MAX_WATCHED };
static const struct timeval ping_every = {0, 500000}; /* so that health knows it when it is asked */

struct watched {
    struct event *event;
    int fd;
    short wants; /* of poll() */
};

struct session_events {
    struct event_base *base;
    struct session *session;
    struct watched file[MAX_FILES];
    int n_files;
    uint64_t n_changes; /* of the session, when they were registered */
    struct event *timer, *ping;
};

/* The step is made after the turn, of all that came in it. */
static void wake(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context;
}

static void ping(evutil_socket_t fd, short what, void *context)
{
    const struct session_events *events = context;
    (void)fd, (void)what;
    dispatch_ping(events->session->dispatch);
}

struct session_events *session_events_create(struct event_base *base, struct session *session)
{
    struct session_events *events = memory_alloc(1, sizeof *events);
    events->base = base;
    events->session = session;
    events->timer = evtimer_new(base, wake, NULL);
    events->ping = event_new(base, -1, EV_PERSIST, ping, events);
    evtimer_add(events->ping, &ping_every);
    return events;
}

static void forget_all(struct session_events *events)
{
    for (int i = 0; i < events->n_files; i++)
        event_free(events->file[i].event);
    events->n_files = 0;
}

void session_events_destroy(struct session_events *events)
{
    if (events == NULL)
        return;
    forget_all(events);
    event_free(events->timer);
    event_free(events->ping);
    memory_free(events);
}

static void add(struct session_events *events, const struct pollfd *want)
{
    const short what = (short)(((want->events & POLLIN) != 0 ? EV_READ : 0) |
                               ((want->events & POLLOUT) != 0 ? EV_WRITE : 0) | EV_PERSIST);
    struct watched *file = &events->file[events->n_files++];
    *file = (struct watched){event_new(events->base, want->fd, what, wake, NULL), want->fd,
                             want->events};
    event_add(file->event, NULL);
}

static bool is_as_before(const struct session_events *events, const struct pollfd *want, int n)
{
    bool same = n == events->n_files && events->n_changes == events->session->n_changes;
    for (int i = 0; same && i < n; i++)
        same = events->file[i].fd == want[i].fd && events->file[i].wants == want[i].events;
    return same;
}

/* What is closed leaves epoll by itself, and its number may be another file's by now: so all are
 * forgotten before one is added. */
static void watch(struct session_events *events, const struct pollfd *want, int n)
{
    if (is_as_before(events, want, n))
        return;
    forget_all(events);
    for (int i = 0; i < n; i++)
        add(events, &want[i]);
    events->n_changes = events->session->n_changes;
}

static void wait_until(struct session_events *events, int64_t until_ns)
{
    const struct timeval left = clock_timeval(until_ns - clock_now_ns());
    if (until_ns == INT64_MAX)
        evtimer_del(events->timer);
    else
        evtimer_add(events->timer, &left);
}

bool session_events_step(struct session_events *events, struct error *err)
{
    struct pollfd want[MAX_FILES];
    int n;
    int64_t until_ns;
    if (!session_step(events->session, err)) {
        forget_all(events); /* closed, and a number may be a user's by the next turn */
        return false;
    }
    session_watch(events->session, want, &n, &until_ns);
    watch(events, want, n);
    wait_until(events, until_ns);
    return true;
}
