/* runtime/text/split/unicode_script.h: which script a character is written in.
 *
 * Only whether two characters share one is asked, so scripts are numbers without names. As the
 * reference has it: Unicode 9, with Hiragana, Katakana and the long vowel mark as Han, after what
 * sentencepiece does for its candidates.
 *
 * Source: Scripts.txt of Unicode 9.0; found by asking the reference for every character.
 */
#pragma once
#include <stdint.h>

enum { UNICODE_SCRIPT_ANY = -1 }; /* the space, and what no script has: goes with all */

int unicode_script(uint32_t c);
