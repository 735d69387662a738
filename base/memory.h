/* base/memory.h: where memory comes from.
 *
 * Small allocations cannot fail for the caller: when the system has no memory left the
 * process writes one line and ends with MEMORY_EXIT_CODE, because nothing above could do
 * better. Sizes that come from outside are checked against a named limit before they get
 * here, and the large blocks (KV cache, weights) come from memory_map(), which can fail.
 *
 * An arena is a lifetime: things are allocated one by one and freed all at once
 * (process, model, request, step). Not thread-safe; one owner at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { MEMORY_EXIT_CODE = 71 };

/* `count` zeroed items of `item_bytes`; never NULL, also for 0 items. Free with memory_free().
 * A product that overflows is a bug and stops the process. */
void *memory_alloc(size_t count, size_t item_bytes);
/* Grows or shrinks; new bytes are not cleared. `p` may be NULL. */
void *memory_resize(void *p, size_t count, size_t item_bytes);
void memory_free(void *p); /* NULL is fine */
char *memory_copy_text(const char *text);

/* `n_bytes` of zeroed private pages, 2 MB pages where the system gives them.
 * 0 bytes are NULL. ERROR_SYSTEM when the system refuses. */
bool memory_map(void **out, size_t n_bytes, struct error *err);
void memory_unmap(void *p, size_t n_bytes); /* NULL is fine */

/* Gives the pages of memory_map() back and keeps their addresses: zeros are there, and each page is
 * had again when it is written. */
void memory_forget(void *p, size_t n_bytes);

/* What this process holds of the above now, as the system counts it (the allocator rounds up, and
 * maps have whole pages): each byte once. What libraries allocate for themselves is not in it. */
struct memory_account {
    int64_t allocated; /* memory_alloc(), memory_resize(), arenas */
    int64_t mapped;    /* memory_map() */
};
struct memory_account memory_account(void); /* any thread, at any time */

struct arena_block;
struct arena { /* all zero is an empty arena */
    struct arena_block *last;
    size_t total_bytes; /* handed out since the last release */
};

/* Zeroed, aligned to 64 bytes (a cache line, and the widest vector). Lives until arena_release().
 */
void *arena_alloc(struct arena *arena, size_t count, size_t item_bytes);
char *arena_copy_text(struct arena *arena, const char *text, size_t n_bytes); /* adds a NUL */
void arena_release(struct arena *arena);
/* Empties it and keeps its memory: what is allocated next, up to as many bytes, asks for no more.
 * For lifetimes that come again and again (a message, a step). */
void arena_reset(struct arena *arena);
