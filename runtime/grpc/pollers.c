#include "runtime/grpc/pollers.h"

#include "base/error.h"

#include <grpc/support/time.h>
#include <string.h>

/* Nothing comes but the end. */
static void *run(void *queue)
{
    while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    return NULL;
}

void pollers_open(struct pollers *pollers)
{
    *pollers = (struct pollers){.queue = grpc_completion_queue_create_for_next(NULL)};
}

bool pollers_start(struct pollers *pollers, struct error *err)
{
    for (; pollers->n_threads < N_POLLERS; pollers->n_threads++) {
        const int failure =
            pthread_create(&pollers->thread[pollers->n_threads], NULL, run, pollers->queue);
        if (failure != 0)
            return error_set(err, ERROR_SYSTEM, "cannot start a thread: %s", strerror(failure));
    }
    return true;
}

void pollers_close(struct pollers *pollers)
{
    grpc_completion_queue_shutdown(pollers->queue);
    for (int i = 0; i < pollers->n_threads; i++)
        pthread_join(pollers->thread[i], NULL);
    grpc_completion_queue_destroy(pollers->queue);
}
