/* The core tells when a connection comes, not when it goes. So a place is looked at again when all
 * are taken: it is free when its descriptor is not that socket any more. */
#include "runtime/grpc/connection_limit.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"

#include <arpa/inet.h>
#include <grpc/support/sync.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    KNOWN_CORE = 29, /* of gRPC 1.51: what the structs below were compared with */
    /* After a look that found no place: a flood is refused without one. */
    LOOK_AGAIN_NS = 100000000,
    V4_IN_V6 = 12, /* bytes before it */
};

/* What a mutator is to the core, whose header of it is not installed (iomgr/socket_mutator.h). */
enum socket_usage { CLIENT_CONNECTION, SERVER_LISTENER, SERVER_CONNECTION };
struct socket_info {
    int fd;
    enum socket_usage usage;
};
struct mutator;
struct mutator_calls {
    bool (*mutate_client)(int fd, struct mutator *);
    int (*compare)(struct mutator *, struct mutator *);
    void (*destroy)(struct mutator *);
    bool (*mutate)(const struct socket_info *, struct mutator *);
};
struct mutator {
    const struct mutator_calls *calls;
    gpr_refcount references;
};

struct place { /* a connection; a socket's number is not given again soon, its descriptor's is */
    int fd;
    dev_t device;
    ino_t number;
};

struct connection_limit {
    struct mutator mutator; /* the first member */
    pthread_mutex_t lock;   /* below: any thread of gRPC */
    struct place *place;    /* [n] of max */
    int n, max;
    int64_t look_ns;     /* not before this */
    uint64_t *n_refused; /* atomic */
};

static bool is_open(const struct place *place)
{
    struct stat now;
    return fstat(place->fd, &now) == 0 && now.st_ino == place->number &&
           now.st_dev == place->device;
}

static void find_free_places(struct connection_limit *limit)
{
    const int64_t now_ns = clock_now_ns();
    if (now_ns < limit->look_ns)
        return;
    int n = 0;
    for (int i = 0; i < limit->n; i++)
        if (is_open(&limit->place[i]))
            limit->place[n++] = limit->place[i];
    limit->n = n;
    if (n == limit->max)
        limit->look_ns = now_ns + LOOK_AGAIN_NS;
}

static bool take_place(struct connection_limit *limit, int fd)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return true; /* the core finds out what is wrong with it */
    if (limit->n == limit->max)
        find_free_places(limit);
    if (limit->n == limit->max)
        return false;
    limit->place[limit->n++] = (struct place){.fd = fd, .device = now.st_dev, .number = now.st_ino};
    return true;
}

/* False would be a failure of the port. A socket that is shut down is one whose client has gone. */
static bool mutate(const struct socket_info *info, struct mutator *mutator)
{
    struct connection_limit *limit = (struct connection_limit *)mutator;
    if (info->usage != SERVER_CONNECTION)
        return true;
    pthread_mutex_lock(&limit->lock);
    const bool is_taken = take_place(limit, info->fd);
    pthread_mutex_unlock(&limit->lock);
    if (!is_taken) {
        __atomic_add_fetch(limit->n_refused, 1, __ATOMIC_RELAXED);
        shutdown(info->fd, SHUT_RDWR);
    }
    return true;
}

static bool mutate_client(int fd, struct mutator *mutator)
{
    (void)fd, (void)mutator;
    return true;
}

static int compare(struct mutator *a, struct mutator *b) { return (a > b) - (a < b); }

static void destroy_limit(struct mutator *mutator)
{
    struct connection_limit *limit = (struct connection_limit *)mutator;
    pthread_mutex_destroy(&limit->lock);
    memory_free(limit->place);
    memory_free(limit);
}

/* The core has copies of the argument, and references of its own to what it points at. */
static void *copy_arg(void *p)
{
    struct mutator *mutator = p;
    gpr_ref(&mutator->references);
    return mutator;
}

static void release_limit_reference(void *p)
{
    struct mutator *mutator = p;
    if (gpr_unref(&mutator->references))
        destroy_limit(mutator);
}

static int compare_args(void *a, void *b) { return compare(a, b); }

struct connection_limit *connection_limit_make(int max_connections, uint64_t *n_refused)
{
    static const struct mutator_calls calls = {.mutate_client = mutate_client,
                                               .compare = compare,
                                               .destroy = destroy_limit,
                                               .mutate = mutate};
    if (strtol(grpc_version_string(), NULL, 10) != KNOWN_CORE) {
        log_write(LOG_WARN, "grpc",
                  "this version of gRPC (core %s) takes any number of connections",
                  grpc_version_string());
        return NULL;
    }
    struct connection_limit *limit = memory_alloc(1, sizeof *limit);
    limit->mutator.calls = &calls;
    gpr_ref_init(&limit->mutator.references, 1);
    limit->max = max_connections;
    limit->n_refused = n_refused;
    limit->place = memory_alloc((size_t)max_connections, sizeof *limit->place);
    pthread_mutex_init(&limit->lock, NULL);
    return limit;
}

grpc_arg connection_limit_arg(struct connection_limit *limit)
{
    static const grpc_arg_pointer_vtable arg_calls = {
        .copy = copy_arg, .destroy = release_limit_reference, .cmp = compare_args};
    grpc_arg arg = {.type = GRPC_ARG_POINTER, .key = (char *)GRPC_ARG_SOCKET_MUTATOR};
    arg.value.pointer.p = limit;
    arg.value.pointer.vtable = &arg_calls;
    return arg;
}

/* "127.0.0.1:4711", "[::1]:4711": an address of IPv4 inside of IPv6 is written as what it is. */
static bool is_from(int fd, const char *peer)
{
    struct sockaddr_storage from;
    socklen_t n = sizeof from;
    char host[INET6_ADDRSTRLEN], text[sizeof host + 16];
    if (getpeername(fd, (struct sockaddr *)&from, &n) != 0)
        return false;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&from;
    const bool is_v4 = from.ss_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    const void *address = from.ss_family == AF_INET
                              ? (const void *)&((const struct sockaddr_in *)&from)->sin_addr
                              : v6->sin6_addr.s6_addr + (is_v4 ? V4_IN_V6 : 0);
    inet_ntop(is_v4 ? AF_INET : AF_INET6, address, host, sizeof host);
    snprintf(text, sizeof text, is_v4 ? "%s:%d" : "[%s]:%d", host, ntohs(v6->sin6_port));
    return strcmp(text, peer) == 0;
}

void connection_limit_shut(struct connection_limit *limit, const char *peer)
{
    bool is_found = false;
    pthread_mutex_lock(&limit->lock);
    for (int i = 0; i < limit->n && !is_found; i++) {
        is_found = is_open(&limit->place[i]) && is_from(limit->place[i].fd, peer);
        if (is_found)
            shutdown(limit->place[i].fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&limit->lock);
}

void connection_limit_release(struct connection_limit *limit)
{
    if (limit != NULL)
        release_limit_reference(&limit->mutator);
}
