/* runtime/schedule/request_heap.h: requests, of which the first one is always known.
 *
 * A binary heap whose requests know their places, so that any of them can be taken out (a cancel).
 * Room for all requests of the scheduler from the begin: nothing is allocated afterwards.
 */
#pragma once
#include "runtime/request/request.h"

#include <stdbool.h>

struct request_heap {
    struct request **entry; /* [most] */
    int n;
    enum request_heap_id id;
    bool (*before)(const struct request *, const struct request *);
};

void request_heap_init(struct request_heap *heap, int most, enum request_heap_id id,
                       bool (*before)(const struct request *, const struct request *));
void request_heap_release(struct request_heap *heap);

struct request *request_heap_first(const struct request_heap *heap); /* NULL: empty */
void request_heap_add(struct request_heap *heap, struct request *request);
void request_heap_remove(struct request_heap *heap, struct request *request);
