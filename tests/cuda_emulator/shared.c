/* The shared memory of a block, and copies into it that are on their way. */
#include "tests/cuda_emulator/block_state.h"
#include "tests/cuda_emulator/poison.h"

#include <stdlib.h>
#include <string.h>

/* Dynamic memory is the first array, known by its own key. */
static const char dynamic_key = 0;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static void *reserve(struct machine *machine, const char *name, const char *key, size_t n_bytes,
                     size_t alignment)
{
    if (machine->n_arrays == MAX_SHARED_ARRAYS)
        emulated_die("more than %d shared arrays", MAX_SHARED_ARRAYS);
    size_t at = round_up(machine->shared_used + SHARED_GAP, alignment);
    if (at % (2 * alignment) == 0 && alignment < 128)
        at += alignment; /* aligned to what was asked for and no more */
    if (at + n_bytes + SHARED_GAP > SHARED_ROOM)
        emulated_die("%zu bytes of shared memory for %s are too many", n_bytes, name);
    unsigned char *base = machine->shared;
    ASAN_UNPOISON_MEMORY_REGION(base + machine->shared_used, SHARED_GAP); /* of the array before */
    memset(base + machine->shared_used, ZONE, at - machine->shared_used);
    memset(base + at, POISON, n_bytes);
    memset(base + at + n_bytes, ZONE, SHARED_GAP);
    ASAN_POISON_MEMORY_REGION(base + machine->shared_used, at - machine->shared_used);
    ASAN_POISON_MEMORY_REGION(base + at + n_bytes, SHARED_GAP);
    machine->shared_used = at + n_bytes;
    machine->arrays[machine->n_arrays++] = (struct shared_array){key, name, at, n_bytes};
    return base + at;
}

void shared_prepare(struct machine *machine)
{
    machine->n_arrays = 0;
    machine->shared_used = 0;
    if (machine->start->shared_bytes > 0)
        reserve(machine, "the dynamic array", &dynamic_key, machine->start->shared_bytes, 128);
}

void *emulated_shared(const char *name, const char *key, size_t n_bytes, size_t alignment)
{
    struct machine *machine = machine_now();
    size_t n_used = n_bytes;
    for (int i = 0; i < machine->n_arrays; i++) {
        if (machine->arrays[i].key == key)
            return machine->shared + machine->arrays[i].at;
        n_used += machine->arrays[i].n_bytes;
    }
    if (n_used > EMULATED_MAX_SHARED_BYTES)
        emulated_die("%zu bytes of shared memory, the most is %d", n_used,
                     EMULATED_MAX_SHARED_BYTES);
    return reserve(machine, name, key, n_bytes, alignment);
}

void *emulated_dynamic_shared(void)
{
    struct machine *machine = machine_now();
    if (machine->n_arrays == 0 || machine->arrays[0].key != &dynamic_key)
        emulated_die("the kernel was started without dynamic shared memory");
    return machine->shared + machine->arrays[0].at;
}

static void require_gap(const struct machine *machine, size_t from, size_t to,
                        const struct shared_array *below, const struct shared_array *above)
{
    for (size_t i = from; i < to; i++) {
        if (machine->shared[i] != ZONE)
            emulated_die("a write outside the shared arrays, %zu bytes behind %s, %zu before %s",
                         i - from, below ? below->name : "nothing", to - i,
                         above ? above->name : "nothing");
    }
}

void shared_inspect(const struct machine *machine)
{
    ASAN_UNPOISON_MEMORY_REGION(machine->shared, machine->shared_used + SHARED_GAP);
    size_t end = 0;
    const struct shared_array *below = NULL;
    for (int i = 0; i < machine->n_arrays; i++) {
        const struct shared_array *array = &machine->arrays[i];
        require_gap(machine, end, array->at, below, array);
        end = array->at + array->n_bytes;
        below = array;
    }
    if (below)
        require_gap(machine, end, end + SHARED_GAP, below, NULL);
}

bool shared_holds(const struct machine *machine, const void *p, size_t n_bytes)
{
    const uintptr_t base = (uintptr_t)machine->shared, at = (uintptr_t)p;
    for (int i = 0; i < machine->n_arrays; i++) {
        const uintptr_t from = base + machine->arrays[i].at;
        if (at >= from && at + n_bytes <= from + machine->arrays[i].n_bytes)
            return true;
    }
    return false;
}

/* ---- copies on their way ---- */

void emulated_copy_async(void *shared, const void *from, bool valid)
{
    struct thread *thread = thread_now();
    if ((uintptr_t)shared % 16 != 0 || !shared_holds(machine_now(), shared, 16))
        emulated_die("gpu_copy_async() to %p: not 16 aligned bytes of shared memory", shared);
    if (valid && (uintptr_t)from % 16 != 0)
        emulated_die("gpu_copy_async() from %p: not aligned to 16 bytes", from);
    if (thread->n_copies == thread->max_copies) {
        thread->max_copies = thread->max_copies ? 2 * thread->max_copies : 32;
        thread->copies =
            realloc(thread->copies, sizeof *thread->copies * (size_t)thread->max_copies);
    }
    thread->copies[thread->n_copies++] =
        (struct copy){shared, valid ? from : NULL, thread->copy_group};
    memset(shared, POISON, 16); /* neither what was there nor what comes can be relied on */
}

void emulated_copy_commit(void) { thread_now()->copy_group++; }

void emulated_copy_wait(int n_latest)
{
    struct thread *thread = thread_now();
    int n_left = 0;
    for (int i = 0; i < thread->n_copies; i++) {
        const struct copy *copy = &thread->copies[i];
        if (copy->group + (uint32_t)n_latest >= thread->copy_group)
            thread->copies[n_left++] = *copy;
        else if (copy->from)
            memcpy(copy->shared, copy->from, 16);
        else
            memset(copy->shared, 0, 16);
    }
    thread->n_copies = n_left;
}
