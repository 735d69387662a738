#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/block_state.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xmmintrin.h>

#include "tests/cuda_emulator/cuda_emulator.h"

__thread struct emulated_thread *emulated_self;

/* A page that nobody may touch lies below each stack. Tops lie at odd distances, or the same
 * variable of all threads would fall into one set of the caches. */
enum {
    GUARD_BYTES = 4096,
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    STACK_BYTES = 256 * 1024,
#else
    STACK_BYTES = 64 * 1024,
#endif
    N_COLOURS = 16,
    COLOUR_BYTES = 1088,
    STACK_STRIDE = GUARD_BYTES + STACK_BYTES + 20 * 1024,
};

/* ---- the machine of a host thread ---- */

static __thread struct machine *machine_here;
static pthread_key_t machine_key;
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;

static void free_machine(void *p)
{
    struct machine *machine = p;
    for (int t = 0; t < machine->n_made; t++) {
        fiber_release(&machine->threads[t].fiber);
        free(machine->threads[t].copies);
    }
    if (machine->stacks)
        munmap(machine->stacks, (size_t)EMULATED_MAX_THREADS * STACK_STRIDE);
    free(machine->threads);
    free(machine->shared);
    free(machine);
    machine_here = NULL;
}

static void make_key(void)
{
    if (pthread_key_create(&machine_key, free_machine) != 0)
        abort();
}

struct machine *emulated_machine(void)
{
    if (machine_here == NULL) {
        const char *seed = getenv("EMULATOR_SEED");
        pthread_once(&machine_once, make_key);
        struct machine *machine = calloc(1, sizeof *machine);
        machine->threads = calloc(EMULATED_MAX_THREADS, sizeof *machine->threads);
        machine->shared = aligned_alloc(128, SHARED_ROOM);
        pthread_setspecific(machine_key, machine);
        machine_here = machine;
        emulated_seed(seed ? (uint32_t)strtoul(seed, NULL, 10) : 1);
    }
    return machine_here;
}

void emulated_seed(uint32_t seed) { emulated_machine()->random = seed * 2654435761u + 0x9e3779b9u; }

static uint32_t draw(struct machine *machine)
{
    machine->random = machine->random * 1664525u + 1013904223u;
    return machine->random >> 16;
}

/* ---- messages ---- */

static uint32_t mask_of(const struct thread *thread) { return (uint32_t)thread->where; }
static int line_of(const struct thread *thread) { return (int)(thread->where >> 32); }

void emulated_die(const char *fmt, ...)
{
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    const struct machine *machine = emulated_machine();
    const struct emulated_block *block = &machine->block;
    if (block->kernel)
        fprintf(stderr, "emulated GPU: kernel %s, block (%u, %u, %u): %s\n", block->kernel,
                block->index.x, block->index.y, block->index.z, what);
    else
        fprintf(stderr, "emulated GPU: %s\n", what);
    abort();
}

/* Nobody can run, but not all have ended. */
static void die_of_waiting(const struct machine *machine)
{
    const struct thread *in_warp = NULL;
    int n_in_warp = 0;
    for (int t = 0; t < machine->n_threads; t++) {
        if (machine->threads[t].kind) {
            in_warp = &machine->threads[t];
            n_in_warp++;
        }
    }
    if (in_warp == NULL)
        emulated_die("%d of %d threads wait at the barrier of line %d, but %d have ended",
                     machine->n_at_barrier, machine->n_threads, machine->barrier_line,
                     machine->n_ended);
    emulated_die("%d of %d threads wait at a barrier, %d have ended, and %d wait in their warp, "
                 "thread (%u, %u, %u) in the %s of line %d with the lanes 0x%x",
                 machine->n_at_barrier, machine->n_threads, machine->n_ended, n_in_warp,
                 in_warp->self.index.x, in_warp->self.index.y, in_warp->self.index.z,
                 in_warp->kind->name, line_of(in_warp), mask_of(in_warp));
}

/* ---- who runs ---- */

/* One bit of a mask that has one: from some place on, upwards or downwards. */
static int pick_bit(uint32_t mask, uint32_t turn)
{
    const int from = (int)(turn & 31);
    const uint32_t turned = mask >> from | mask << (-from & 31);
    const int bit = turn & 32 ? 31 - __builtin_clz(turned) : __builtin_ctz(turned);
    return (bit + from) & 31;
}

/* The running thread waits, or has ended, and is in the books as such. */
static void run_another(struct machine *machine, struct fiber *self)
{
    struct warp *warp = machine->warp;
    if (warp->ready == 0) {
        machine->ready_warps &= ~(1u << (warp - machine->warps));
        if (machine->ready_warps == 0) {
            if (machine->n_ended < machine->n_threads)
                die_of_waiting(machine);
            fiber_switch(self, &machine->host);
            return;
        }
        warp = &machine->warps[pick_bit(machine->ready_warps, machine->warp_turn)];
        machine->warp = warp;
    }
    const int lane = pick_bit(warp->ready, warp->turn);
    struct thread *next = &machine->threads[warp->first + lane];
    warp->ready &= ~(1u << lane);
    emulated_self = &next->self;
    if (&next->fiber != self)
        fiber_switch(self, &next->fiber);
}

static void make_all_ready(struct machine *machine)
{
    for (int w = 0; w < machine->n_warps; w++) {
        struct warp *warp = &machine->warps[w];
        warp->ready = warp->all;
        warp->turn = draw(machine);
    }
    machine->ready_warps = machine->n_warps == 32 ? ~0u : (1u << machine->n_warps) - 1;
    machine->warp_turn = draw(machine);
}

static void require_begun(const struct thread *thread)
{
    if (!thread->self.begun)
        emulated_die("the first statement of a kernel is gpu_begin()");
}

void emulated_barrier(int line)
{
    struct thread *thread = thread_now();
    struct machine *machine = thread->machine;
    require_begun(thread);
    if (machine->n_at_barrier > 0 && machine->barrier_line != line)
        emulated_die("thread (%u, %u, %u) is at the barrier of line %d, but %d others wait at that "
                     "of line %d",
                     thread->self.index.x, thread->self.index.y, thread->self.index.z, line,
                     machine->n_at_barrier, machine->barrier_line);
    machine->barrier_line = line;
    machine->n_at_barrier++;
    if (machine->n_at_barrier == machine->n_threads) {
        machine->n_at_barrier = 0;
        make_all_ready(machine);
    }
    run_another(machine, &thread->fiber);
}

/* All lanes of the thread's mask wait. Were it for different things, none would ever go on. */
static void require_same(const struct machine *machine, const struct thread *thread)
{
    for (uint32_t rest = mask_of(thread); rest != 0; rest &= rest - 1) {
        const struct thread *other = &machine->threads[thread->warp->first + __builtin_ctz(rest)];
        if (other->kind != thread->kind || other->where != thread->where)
            emulated_die("lanes of one warp wait for different things: lane %d in the %s of line "
                         "%d with the lanes 0x%x, lane %d in the %s of line %d with the lanes 0x%x",
                         thread->self.lane, thread->kind->name, line_of(thread), mask_of(thread),
                         other->self.lane, other->kind->name, line_of(other), mask_of(other));
    }
}

static void wait_in_warp(struct thread *thread, const struct emulated_collective_kind *kind,
                         uint64_t where, void *operand)
{
    struct warp *warp = thread->warp;
    thread->kind = kind;
    thread->where = where;
    if (warp->waiting == 0) {
        warp->kind = kind;
        warp->where = where;
        warp->mixed = false;
    } else if (warp->kind != kind || warp->where != where) {
        warp->mixed = true;
    }
    warp->operands[thread->self.lane] = operand;
    warp->waiting |= 1u << thread->self.lane;
}

void emulated_collective(const struct emulated_collective_kind *kind, uint32_t mask, void *operand,
                         int line)
{
    struct thread *thread = thread_now();
    struct machine *machine = thread->machine;
    struct warp *warp = thread->warp;
    require_begun(thread);
    mask &= warp->all; /* a last warp may be short; 0xffffffff means all that there are */
    if (!(mask >> thread->self.lane & 1))
        emulated_die("lane %d is in the %s of line %d, but not among its lanes 0x%x",
                     thread->self.lane, kind->name, line, mask);
    wait_in_warp(thread, kind, (uint64_t)line << 32 | mask, operand);
    if ((warp->waiting & mask) == mask) {
        if (warp->mixed)
            require_same(machine, thread);
        if (kind->finish)
            kind->finish(warp->operands, mask);
        warp->waiting &= ~mask;
        warp->ready |= mask;
        warp->turn = warp->turn * 5 + 7;
    }
    run_another(machine, &thread->fiber);
    thread->kind = NULL;
}

/* ---- a block ---- */

/* What a fiber does all its life: the same thread of one block after another. */
static void run_threads(void)
{
    fiber_arrived(NULL);
    struct thread *thread = thread_now();
    struct machine *machine = thread->machine;
    for (;;) {
        machine->start->run_thread(machine->closure);
        require_begun(thread);
        machine->n_ended++;
        run_another(machine, &thread->fiber);
    }
}

static void make_threads(struct machine *machine, int n)
{
    if (machine->stacks == NULL) {
        machine->stacks = mmap(NULL, (size_t)EMULATED_MAX_THREADS * STACK_STRIDE, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (machine->stacks == MAP_FAILED)
            emulated_die("no memory for stacks");
    }
    for (; machine->n_made < n; machine->n_made++) {
        const int t = machine->n_made;
        unsigned char *stack = machine->stacks + (size_t)t * STACK_STRIDE + GUARD_BYTES;
        mprotect(stack, STACK_STRIDE - GUARD_BYTES, PROT_READ | PROT_WRITE);
        fiber_prepare(&machine->threads[t].fiber, stack,
                      STACK_BYTES + (size_t)(t % N_COLOURS) * COLOUR_BYTES, run_threads);
    }
}

static void shape_block(struct machine *machine, const struct emulated_start *start)
{
    const dim3 dim = start->block;
    const int n = (int)(dim.x * dim.y * dim.z);
    make_threads(machine, n);
    machine->block.kernel = start->name;
    machine->block.dim = dim;
    machine->block.grid = start->grid;
    machine->n_threads = n;
    machine->n_warps = (n + EMULATED_WARP - 1) / EMULATED_WARP;
    for (int t = 0; t < n; t++) {
        struct thread *thread = &machine->threads[t];
        const unsigned i = (unsigned)t;
        thread->self.index.x = i % dim.x;
        thread->self.index.y = i / dim.x % dim.y;
        thread->self.index.z = i / dim.x / dim.y;
        thread->self.lane = t % EMULATED_WARP;
        thread->self.block = &machine->block;
        thread->machine = machine;
        thread->warp = &machine->warps[t / EMULATED_WARP];
    }
    for (int w = 0; w < machine->n_warps; w++) {
        const int n_lanes = n - w * EMULATED_WARP;
        machine->warps[w].first = w * EMULATED_WARP;
        machine->warps[w].all = n_lanes >= EMULATED_WARP ? ~0u : (1u << n_lanes) - 1;
    }
}

static void run_block(struct machine *machine)
{
    for (int t = 0; t < machine->n_threads; t++) {
        struct thread *thread = &machine->threads[t];
        thread->self.begun = false;
        thread->kind = NULL;
        thread->n_copies = 0;
        thread->copy_group = 0;
    }
    for (int w = 0; w < machine->n_warps; w++) {
        machine->warps[w].waiting = 0;
    }
    machine->n_ended = 0;
    machine->n_at_barrier = 0;
    shared_prepare(machine);
    make_all_ready(machine);
    machine->warp = &machine->warps[pick_bit(machine->ready_warps, machine->warp_turn)];
    run_another(machine, &machine->host);
    shared_inspect(machine);
}

#if defined(__SANITIZE_ADDRESS__)
/* AddressSanitizer wants to know the stack to which the last thread goes back. */
static void note_host_stack(struct fiber *host)
{
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        abort();
    pthread_attr_getstack(&attributes, &host->stack, &host->stack_bytes);
    pthread_attr_destroy(&attributes);
}
#endif

void emulated_run_kernel(const struct emulated_start *start, const void *closure)
{
    struct machine *machine = emulated_machine();
    if (emulated_self != NULL)
        emulated_die("a kernel cannot start another one");
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u); /* flush denormals, read them as zero: -ftz=true */
    machine->start = start;
    machine->closure = closure;
    shape_block(machine, start);
#if defined(__SANITIZE_ADDRESS__)
    note_host_stack(&machine->host);
#elif defined(__SANITIZE_THREAD__)
    machine->host.tsan = __tsan_get_current_fiber();
#endif
    for (unsigned z = 0; z < start->grid.z; z++) {
        for (unsigned y = 0; y < start->grid.y; y++) {
            for (unsigned x = 0; x < start->grid.x; x++) {
                machine->block.index.x = x;
                machine->block.index.y = y;
                machine->block.index.z = z;
                run_block(machine);
            }
        }
    }
    machine->block.kernel = NULL;
    emulated_self = NULL;
    _mm_setcsr(mode);
}
