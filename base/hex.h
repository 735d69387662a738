/* base/hex.h: hexadecimal digits, whatever they are part of. */
#pragma once

/* 0 .. 15; -1: it is none. */
static inline int hex_digit(char c)
{
    const char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
