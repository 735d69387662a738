/* runtime/grpc/pollers.h: the threads in which gRPC reads and writes its sockets.
 *
 * Who waits in a completion queue that polls may have to read a connection for as long as bytes of
 * it come, and tells of no event meanwhile: then the calls of a flood pile up in the core, and
 * those of others wait. So these threads wait in a queue that has no events. What calls tell comes
 * from one that does not poll (event_relay.h), and no connection can hold that up.
 */
#pragma once
#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>

struct error;

/* While one is with a connection that never ends, another has the others. */
enum { N_POLLERS = 2 };

struct pollers {
    grpc_completion_queue *queue; /* the server's, owned */
    pthread_t thread[N_POLLERS];
    int n_threads;
};

void pollers_open(struct pollers *pollers); /* the queue, for the server to register */
bool pollers_start(struct pollers *pollers, struct error *err);
/* After the server is shut down. */
void pollers_close(struct pollers *pollers);
