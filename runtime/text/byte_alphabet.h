/* runtime/text/byte_alphabet.h: the 256 characters in which byte-level models write bytes.
 *
 * Vocabularies are JSON text, and bytes are not: so each byte has a visible character. Bytes that
 * are visible Latin-1 characters stand for themselves; the 68 others take U+0100 to U+0143 in
 * ascending order (the space, byte 0x20, is U+0120 "Ġ").
 *
 * Source: the encoder of GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask
 * Learners", section 2.2); Hugging Face calls it ByteLevel.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { BYTE_ALPHABET_END = 0x144 }; /* no character of the alphabet is as large */

uint32_t byte_alphabet_char(unsigned char byte);
int byte_alphabet_byte(uint32_t c); /* -1: not in the alphabet */
