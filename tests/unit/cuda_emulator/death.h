/* tests/unit/cuda_emulator/death.h: the emulator stops the process; tests look at how. */
#pragma once

/* Some faults are seen by AddressSanitizer first, where it is there. */
#if defined(__SANITIZE_ADDRESS__)
enum { ASAN = 1 };
#else
enum { ASAN = 0 };
#endif

/* Fails the test unless act(context), in a process of its own, aborts and says `text` on standard
 * error. */
void check_dies(const char *file, int line, void (*act)(void *context), void *context,
                const char *text);
#define CHECK_DIES(act, context, text) check_dies(__FILE__, __LINE__, act, context, text)

/* For an act that looks at something by itself: what it found. */
void abort_saying(const char *text) __attribute__((noreturn));
