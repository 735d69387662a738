/* tests/cuda_emulator/poison.h: what memory of the emulator is full of, and the parts of it that
 * nobody may touch, which AddressSanitizer is told of where it is there. */
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, n)   ((void)(at), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(at, n) ((void)(at), (void)(n))
#endif

enum {
    POISON = 0xff, /* of new memory: every format has NaN there */
    ZONE = 0xfd,   /* of zones around it; another value is somebody's write */
};
