#include "runtime/text/byte_alphabet.h"

/* The bytes without a visible character are three runs: 00..20, 7F..A0 and AD. */
enum { RUN_2 = 0x7F, RUN_2_END = 0xA1, RUN_3 = 0xAD, N_RUN_1 = 0x21, N_RUN_2 = RUN_2_END - RUN_2 };

uint32_t byte_alphabet_char(unsigned char byte)
{
    if (byte < N_RUN_1)
        return 0x100U + byte;
    if (byte >= RUN_2 && byte < RUN_2_END)
        return 0x100U + N_RUN_1 + (byte - RUN_2);
    if (byte == RUN_3)
        return 0x100 + N_RUN_1 + N_RUN_2;
    return byte;
}

int byte_alphabet_byte(uint32_t c)
{
    if (c < 0x100)
        return byte_alphabet_char((unsigned char)c) == c ? (int)c : -1;
    const uint32_t place = c - 0x100;
    if (place < N_RUN_1)
        return (int)place;
    if (place < N_RUN_1 + N_RUN_2)
        return (int)(place - N_RUN_1 + RUN_2);
    return place == N_RUN_1 + N_RUN_2 ? RUN_3 : -1;
}
