/* tests/cuda_emulator/block_state.h: what the files of the emulated block share: all threads of
 * the block that a host thread runs, their warps, and the shared memory.
 */
#pragma once
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/fiber.h"

struct copy {
    void *shared;
    const void *from; /* NULL: zeros */
    uint32_t group;
};

/* What each wait touches comes first: two lines of the cache. */
struct thread {
    struct emulated_thread self; /* first: emulated_self points to it */
    struct machine *machine;
    struct warp *warp;
    const struct emulated_collective_kind *kind; /* it waits for, or NULL */
    uint64_t where;                              /* it does: the lanes, and the line above them */
    struct fiber fiber;
    struct copy *copies; /* on their way */
    int n_copies, max_copies;
    uint32_t copy_group; /* that new copies join */
};

struct warp {
    int first;                    /* thread */
    uint32_t all, ready, waiting; /* lanes; the one that runs is neither ready nor waiting */
    const struct emulated_collective_kind *kind; /* and where: of the first that waits */
    uint64_t where;
    bool mixed;    /* not all wait for that */
    uint32_t turn; /* says which of the ready lanes is next */
    void *operands[EMULATED_WARP];
};

struct shared_array {
    const char *key; /* identity */
    const char *name;
    size_t at, n_bytes;
};
enum { MAX_SHARED_ARRAYS = 32 };

/* All of one host thread. */
struct machine {
    struct emulated_block block;
    const struct emulated_start *start;
    const void *closure;
    struct fiber host; /* who started the kernel */
    int n_threads, n_warps;
    int n_ended, n_at_barrier, barrier_line;
    uint32_t ready_warps, warp_turn;
    struct warp *warp; /* that runs */
    struct warp warps[EMULATED_MAX_THREADS / EMULATED_WARP];
    struct thread *threads; /* [EMULATED_MAX_THREADS], made when first needed */
    int n_made;
    unsigned char *stacks;
    uint32_t random;
    unsigned char *shared; /* [SHARED_ROOM] */
    size_t shared_used;
    struct shared_array arrays[MAX_SHARED_ARRAYS];
    int n_arrays;
};
/* Of this host thread; made when first asked for, gone with the thread. */
struct machine *emulated_machine(void);

static inline struct thread *thread_now(void) { return (struct thread *)emulated_self; }
static inline struct machine *machine_now(void) { return thread_now()->machine; }

/* shared.c: before and after each block. */
enum { SHARED_GAP = 64, SHARED_ROOM = 2 * EMULATED_MAX_SHARED_BYTES };
void shared_prepare(struct machine *machine);
void shared_inspect(const struct machine *machine);
bool shared_holds(const struct machine *machine, const void *p, size_t n_bytes);
