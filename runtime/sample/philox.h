/* runtime/sample/philox.h: random bits that are a pure function of a counter and a key.
 *
 * Philox 4x32 with 10 rounds: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy
 * as 1, 2, 3", section 3.3. No state, so nothing that happens between two tokens can move them.
 */
#pragma once
#include <stdint.h>

void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* As many at once: out[w * PHILOX_RUN + j] is word w of the counter that has second[j] in place of
 * its second word. Several times faster than one by one. */
enum { PHILOX_RUN = 16 };
void philox4x32_run(uint32_t out[4 * PHILOX_RUN], const uint32_t counter[4],
                    const uint32_t second[PHILOX_RUN], const uint32_t key[2]);
