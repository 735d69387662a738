/* Blocks of an arena double from 64 KB to 1 MB; what is larger than a block gets one of its own.
 * A block comes zeroed from calloc() and is never reused, so an allocation is a pointer that moves.
 */
#include "base/memory.h"

#include "base/check.h"
#include "base/error.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARENA_ALIGN = 64, ARENA_BLOCK_MIN = 4 << 10, ARENA_BLOCK_MAX = 1 << 20 };

/* Of the process, as the memory is. Relaxed: each is a number by itself, and orders nothing. */
static atomic_llong allocated, mapped;

static void account(atomic_llong *total, size_t before, size_t after)
{
    atomic_fetch_add_explicit(total, (long long)after - (long long)before, memory_order_relaxed);
}

struct memory_account memory_account(void)
{
    return (struct memory_account){.allocated =
                                       atomic_load_explicit(&allocated, memory_order_relaxed),
                                   .mapped = atomic_load_explicit(&mapped, memory_order_relaxed)};
}

static const size_t huge_page_bytes = (size_t)2 << 20;

static size_t product(size_t count, size_t item_bytes)
{
    size_t n_bytes;
    check(!__builtin_mul_overflow(count, item_bytes, &n_bytes));
    return n_bytes ? n_bytes : 1; /* malloc(0) may be NULL */
}

/* _exit, not exit: handlers that run at exit may want memory too. */
static void out_of_memory(size_t n_bytes)
{
    char line[96];
    const int n = snprintf(line, sizeof line, "out of memory: %zu bytes refused\n", n_bytes);
    if (write(STDERR_FILENO, line, (size_t)n) < 0) {
        /* nobody is left to tell */
    }
    _exit(MEMORY_EXIT_CODE);
}

void *memory_alloc(size_t count, size_t item_bytes)
{
    const size_t n_bytes = product(count, item_bytes);
    void *p = calloc(1, n_bytes);
    if (p == NULL)
        out_of_memory(n_bytes);
    account(&allocated, 0, malloc_usable_size(p));
    return p;
}

void *memory_resize(void *p, size_t count, size_t item_bytes)
{
    const size_t n_bytes = product(count, item_bytes);
    const size_t before = malloc_usable_size(p);
    p = realloc(p, n_bytes);
    if (p == NULL)
        out_of_memory(n_bytes);
    account(&allocated, before, malloc_usable_size(p));
    return p;
}

void memory_free(void *p)
{
    account(&allocated, malloc_usable_size(p), 0);
    free(p);
}

char *memory_copy_text(const char *text)
{
    const size_t n_bytes = strlen(text) + 1;
    return memcpy(memory_alloc(n_bytes, 1), text, n_bytes);
}

static size_t whole_pages(size_t n_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n_bytes + page - 1) & ~(page - 1);
}

/* The system gives huge pages only where a whole aligned one fits, and mmap() aligns to small
 * ones: so a little more is mapped, and both ends are given back. */
bool memory_map(void **out, size_t n_bytes, struct error *err)
{
    *out = NULL;
    if (n_bytes == 0)
        return true;
    const bool huge = n_bytes >= huge_page_bytes;
    const size_t slack = huge ? huge_page_bytes : 0;
    size_t mapped_bytes;
    if (n_bytes > SIZE_MAX / 2 ||
        __builtin_add_overflow(whole_pages(n_bytes), slack, &mapped_bytes))
        return error_set(err, ERROR_SYSTEM, "%zu bytes of memory: more than can be addressed",
                         n_bytes);
    const size_t wanted = whole_pages(n_bytes);

    char *p = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return error_errno(err, "%zu bytes of memory", n_bytes);
    if (huge) {
        const size_t head = -(uintptr_t)p & (huge_page_bytes - 1);
        if (head > 0)
            munmap(p, head);
        if (slack > head)
            munmap(p + head + wanted, slack - head);
        p += head;
        madvise(p, wanted, MADV_HUGEPAGE); /* a wish: without it the pages are small ones */
    }
    account(&mapped, 0, wanted);
    *out = p;
    return true;
}

void memory_unmap(void *p, size_t n_bytes)
{
    if (p == NULL)
        return;
    check(munmap(p, n_bytes) == 0);
    account(&mapped, whole_pages(n_bytes), 0);
}

void memory_forget(void *p, size_t n_bytes)
{
    if (p != NULL)
        check(madvise(p, whole_pages(n_bytes), MADV_DONTNEED) == 0);
}

struct arena_block {
    struct arena_block *before;
    char *free, *end; /* aligned; [free, end) is not handed out */
    size_t n_bytes;
};

/* The first aligned byte after the header. */
static char *begin_of(struct arena_block *block)
{
    const uintptr_t body = (uintptr_t)(block + 1);
    return (char *)(block + 1) + (-body & (ARENA_ALIGN - 1));
}

static struct arena_block *block_create(struct arena_block *before, size_t at_least)
{
    size_t n_bytes = before == NULL                          ? ARENA_BLOCK_MIN
                     : before->n_bytes < ARENA_BLOCK_MAX / 2 ? before->n_bytes * 2
                                                             : ARENA_BLOCK_MAX;
    if (n_bytes < at_least)
        n_bytes = at_least;
    size_t with_header;
    check(!__builtin_add_overflow(n_bytes, sizeof(struct arena_block) + ARENA_ALIGN, &with_header));
    struct arena_block *block = memory_alloc(with_header, 1);
    block->before = before;
    block->free = begin_of(block);
    block->end = block->free + n_bytes;
    block->n_bytes = n_bytes;
    return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t item_bytes)
{
    size_t n_bytes;
    check(!__builtin_add_overflow(product(count, item_bytes), ARENA_ALIGN - 1, &n_bytes));
    n_bytes &= ~(size_t)(ARENA_ALIGN - 1);
    if (arena->last == NULL || (size_t)(arena->last->end - arena->last->free) < n_bytes)
        arena->last = block_create(arena->last, n_bytes);
    void *p = arena->last->free;
    arena->last->free += n_bytes;
    arena->total_bytes += n_bytes;
    return p;
}

char *arena_copy_text(struct arena *arena, const char *text, size_t n_bytes)
{
    check(n_bytes < SIZE_MAX);
    char *copy = arena_alloc(arena, n_bytes + 1, 1);
    if (n_bytes > 0)
        memcpy(copy, text, n_bytes);
    return copy;
}

void arena_release(struct arena *arena)
{
    while (arena->last != NULL) {
        struct arena_block *block = arena->last;
        arena->last = block->before;
        memory_free(block);
    }
    arena->total_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    const size_t total = arena->total_bytes;
    if (arena->last == NULL)
        return;
    if (arena->last->before != NULL) { /* one block for all of it, the next time */
        arena_release(arena);
        arena->last = block_create(NULL, total);
        return;
    }
    char *begin = begin_of(arena->last);
    memset(begin, 0, (size_t)(arena->last->free - begin));
    arena->last->free = begin;
    arena->total_bytes = 0;
}
