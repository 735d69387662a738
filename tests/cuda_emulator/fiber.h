/* tests/cuda_emulator/fiber.h: several stacks in one host thread, and the step from one to another.
 *
 * x86-64, System V. The step is inline and jumps rather than returns: processors foresee where a
 * jump goes, and a return to another stack they never do. Sanitizers are told of each step.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

struct fiber {
    void *stack_pointer; /* while it does not run */
    void *stack;         /* lowest address */
    size_t stack_bytes;
    void *fake_stack; /* AddressSanitizer's */
    void *tsan;       /* ThreadSanitizer's */
};

/* A fiber that does main(), which never returns, on its own stack. Its first words must be
 * fiber_arrived(NULL). */
static inline void fiber_prepare(struct fiber *fiber, void *stack, size_t n_bytes,
                                 void (*main)(void))
{
    void **top = (void **)(((uintptr_t)stack + n_bytes) & ~(uintptr_t)63);
    *--top = NULL; /* the caller of main(); functions start with the stack at 8 modulo 16 */
    *--top = (void *)(uintptr_t)main;
    fiber->stack_pointer = top;
    fiber->stack = stack;
    fiber->stack_bytes = n_bytes;
    fiber->fake_stack = NULL;
#if defined(__SANITIZE_THREAD__)
    fiber->tsan = __tsan_create_fiber(0);
#else
    fiber->tsan = NULL;
#endif
}

static inline void fiber_release(struct fiber *fiber)
{
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(fiber->tsan);
#endif
    fiber->tsan = NULL;
}

static inline void fiber_arrived(struct fiber *self)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(self ? self->fake_stack : NULL, NULL, NULL);
#endif
    (void)self;
}

/* Leaves `self` and goes on in `other`; comes back when somebody goes to self. */
static inline void fiber_switch(struct fiber *self, struct fiber *other)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&self->fake_stack, other->stack, other->stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(other->tsan, 0);
#endif
    void **from = &self->stack_pointer;
    void *to = other->stack_pointer;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* below is the red zone of this function */
                     "push %%rbp\n\t"
                     "push %%rbx\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "mov %%rsp, (%0)\n\t"
                     "mov %1, %%rsp\n\t"
                     "pop %%rax\n\t"
                     "jmp *%%rax\n"
                     "1:\tpop %%rbx\n\t"
                     "pop %%rbp\n\t"
                     "lea 128(%%rsp), %%rsp"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory",
                       "cc");
    fiber_arrived(self);
}
