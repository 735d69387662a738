#include "runtime/schedule/request_heap.h"
#include "tests/test.h"

#include <stddef.h>

enum { N = 50 };

static bool is_less(const struct request *a, const struct request *b)
{
    return a->arrival < b->arrival;
}

TEST(the_first_one_is_always_known_whoever_leaves)
{
    static struct request request[N];
    struct request_heap heap;
    bool is_in[N] = {false};
    uint32_t random = 1;
    request_heap_init(&heap, N, HEAP_QUEUE, is_less);
    CHECK(request_heap_first(&heap) == NULL);
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        const int i = (int)(random >> 16) % N;
        request[i].arrival = is_in[i] ? request[i].arrival : random >> 8;
        if (is_in[i])
            request_heap_remove(&heap, &request[i]);
        else
            request_heap_add(&heap, &request[i]);
        is_in[i] = !is_in[i];
        const struct request *least = NULL;
        for (int k = 0; k < N; k++)
            if (is_in[k] && (least == NULL || is_less(&request[k], least)))
                least = &request[k];
        const struct request *first = request_heap_first(&heap);
        CHECK((first == NULL) == (least == NULL));
        CHECK(first == NULL || first->arrival == least->arrival);
    }
    request_heap_release(&heap);
}
