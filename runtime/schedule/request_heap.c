#include "runtime/schedule/request_heap.h"

#include "base/check.h"
#include "base/memory.h"

#include <stddef.h>

void request_heap_init(struct request_heap *heap, int most, enum request_heap_id id,
                       bool (*before)(const struct request *, const struct request *))
{
    *heap = (struct request_heap){
        .entry = memory_alloc((size_t)most, sizeof *heap->entry), .id = id, .before = before};
}

void request_heap_release(struct request_heap *heap)
{
    memory_free(heap->entry);
    *heap = (struct request_heap){0};
}

struct request *request_heap_first(const struct request_heap *heap)
{
    return heap->n > 0 ? heap->entry[0] : NULL;
}

static void put(struct request_heap *heap, int at, struct request *request)
{
    heap->entry[at] = request;
    request->place[heap->id] = at;
}

/* Moves the request, whose place is `at`, towards the first as far as it belongs. */
static void lift(struct request_heap *heap, int at)
{
    struct request *request = heap->entry[at];
    while (at > 0 && heap->before(request, heap->entry[(at - 1) / 2])) {
        put(heap, at, heap->entry[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, request);
}

static void sink(struct request_heap *heap, int at)
{
    struct request *request = heap->entry[at];
    for (int child = 2 * at + 1; child < heap->n; child = 2 * at + 1) {
        if (child + 1 < heap->n && heap->before(heap->entry[child + 1], heap->entry[child]))
            child++;
        if (!heap->before(heap->entry[child], request))
            break;
        put(heap, at, heap->entry[child]);
        at = child;
    }
    put(heap, at, request);
}

void request_heap_add(struct request_heap *heap, struct request *request)
{
    put(heap, heap->n++, request);
    lift(heap, heap->n - 1);
}

void request_heap_remove(struct request_heap *heap, struct request *request)
{
    const int at = request->place[heap->id];
    check(at < heap->n && heap->entry[at] == request);
    struct request *last = heap->entry[--heap->n];
    if (last == request)
        return;
    put(heap, at, last);
    lift(heap, at);
    sink(heap, last->place[heap->id]);
}
