/* runtime/text/normalize/unicode_old.h: categories as old as those of the stages that use them.
 *
 * The reference library takes the marks and the punctuation of its BERT stages and of StripAccents
 * from tables of Unicode 8 and 9, while its patterns know 16 (unicode.h). A character that came
 * later, or changed its category, is kept there as it was; so it is here.
 *
 * Source: found by asking the reference for every character; DerivedGeneralCategory.txt
 * of 8.0, 9.0.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

bool unicode_old_is_mark(uint32_t c);        /* StripAccents: Mn, Mc, Me of Unicode 9 */
bool unicode_old_is_nonspacing(uint32_t c);  /* BertNormalizer: Mn of Unicode 8 */
bool unicode_old_is_punctuation(uint32_t c); /* P of Unicode 8, and all signs of ASCII */
bool unicode_old_is_control(uint32_t c);     /* Cc, Cf, Co of Unicode 8 */
