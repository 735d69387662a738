#include "runtime/text/byte_alphabet.h"
#include "tests/test.h"

TEST(the_byte_alphabet_has_256_characters_and_a_way_back)
{
    int n = 0;
    for (uint32_t c = 0; c < 0x1000; c++) {
        const int byte = byte_alphabet_byte(c);
        if (byte >= 0) {
            CHECK_EQ(byte_alphabet_char((unsigned char)byte), c);
            CHECK(c < BYTE_ALPHABET_END);
            n++;
        }
    }
    CHECK_EQ(n, 256);
    CHECK_EQ(byte_alphabet_char(' '), 0x120);
    CHECK_EQ(byte_alphabet_char('\n'), 0x10A);
    CHECK_EQ(byte_alphabet_char('A'), 'A');
    CHECK_EQ(byte_alphabet_char(0xAD), 0x143);
}
