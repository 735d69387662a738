/* One file that is readable when the session has something to do. It stays the same while the files
 * of ranks come and go: those are in an epoll of their own, which is made anew whenever one may
 * have been closed. (What was closed leaves an epoll by itself, but not while a child of fork() has
 * a copy of it; and its number may be another file's by now.) */
#include "base/system.h"
#include "launcher/library/library.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* epoll and poll() have the same bits. */
_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "as on Linux");

static bool add(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool watch_open(struct library_watch *out, struct error *err)
{
    out->all = epoll_create1(EPOLL_CLOEXEC);
    out->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    out->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return (out->all >= 0 && out->timer >= 0 && out->wakeup >= 0 &&
            add(out->all, out->timer, EPOLLIN) && add(out->all, out->wakeup, EPOLLIN)) ||
           error_errno(err, "cannot watch the ranks");
}

static void close_file(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void watch_close(struct library_watch *watch)
{
    close_file(&watch->ranks);
    close_file(&watch->timer);
    close_file(&watch->wakeup);
    close_file(&watch->all);
}

static bool renew(struct library_watch *watch, const struct pollfd *want, int n)
{
    if (watch->ranks >= 0)
        epoll_ctl(watch->all, EPOLL_CTL_DEL, watch->ranks, NULL);
    close_file(&watch->ranks);
    watch->n_files = 0;
    watch->ranks = epoll_create1(EPOLL_CLOEXEC);
    if (watch->ranks < 0 || !add(watch->all, watch->ranks, EPOLLIN))
        return false;
    for (; watch->n_files < n; watch->n_files++)
        if (!add(watch->ranks, want[watch->n_files].fd, (uint32_t)want[watch->n_files].events))
            return false;
    return true;
}

/* The same files as before; what is wanted of them may be another. */
static bool modify(struct library_watch *watch, const struct pollfd *want)
{
    for (int i = 0; i < watch->n_files; i++) {
        struct epoll_event event = {.events = (uint32_t)want[i].events};
        if (want[i].events != watch->file[i].events &&
            epoll_ctl(watch->ranks, EPOLL_CTL_MOD, want[i].fd, &event) != 0)
            return false;
    }
    return true;
}

static bool are_the_same(const struct library_watch *watch, const struct pollfd *want, int n,
                         uint64_t n_changes)
{
    bool same = watch->ranks >= 0 && n == watch->n_files && n_changes == watch->n_changes;
    for (int i = 0; same && i < n; i++)
        same = want[i].fd == watch->file[i].fd;
    return same;
}

/* A look that comes too early does no harm, so the timer stays as it is while it is early enough:
 * each token moves that time on, and none needs a system call for it. */
static bool set_timer(struct library_watch *watch, int64_t until_ns)
{
    const int64_t ns = until_ns > 0 ? until_ns : 1; /* 0 would stop it */
    const struct itimerspec at = {.it_value = {ns / 1000000000, ns % 1000000000}};
    if (watch->timer_ns > clock_now_ns() && watch->timer_ns <= ns)
        return true;
    watch->timer_ns = ns;
    return timerfd_settime(watch->timer, TFD_TIMER_ABSTIME, &at, NULL) == 0;
}

bool watch_update(struct library_watch *watch, struct session *session, struct error *err)
{
    struct pollfd want[SESSION_MAX_WATCHED];
    int64_t until_ns;
    int n;
    session_watch(session, want, &n, &until_ns);
    const bool good = (are_the_same(watch, want, n, session->n_changes) ? modify(watch, want)
                                                                        : renew(watch, want, n)) &&
                      set_timer(watch, until_ns);
    memcpy(watch->file, want, (size_t)n * sizeof *want);
    watch->n_changes = session->n_changes;
    return good || error_errno(err, "cannot watch the ranks");
}

void watch_stop(struct library_watch *watch)
{
    const int file[] = {watch->ranks, watch->timer, watch->wakeup};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        epoll_ctl(watch->all, EPOLL_CTL_DEL, file[i], NULL); /* ranks: where there are any */
}

bool watch_wait(struct library_watch *watch, int timeout_ms, bool *interrupted, struct error *err)
{
    struct epoll_event event[3];
    eventfd_t ignored;
    const int n = epoll_wait(watch->all, event, 3, timeout_ms);
    *interrupted = false;
    for (int i = 0; i < n; i++)
        if (event[i].data.fd == watch->wakeup)
            *interrupted = eventfd_read(watch->wakeup, &ignored) == 0;
    return n >= 0 || errno == EINTR || error_errno(err, "waiting for the ranks");
}
