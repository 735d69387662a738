/* kernels/fma.h: fmaf() by its instruction where the machine has one, in code that is for all.
 *
 * It is exact with the instruction and without it, and a call of the library without it. Which of
 * the two copies runs is chosen by a function that the loader calls before anything else is there;
 * the thread sanitizer would be called from it, so under that there is one copy.
 */
#pragma once

#if defined(__SANITIZE_THREAD__)
#define WITH_FMA_IF_THERE
#else
#define WITH_FMA_IF_THERE __attribute__((target_clones("default", "fma")))
#endif
