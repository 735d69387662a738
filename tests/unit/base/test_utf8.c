#include "base/bytes.h"
#include "base/utf8.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

TEST(every_character_is_written_and_read_back)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        char text[4];
        size_t at = 0;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        const size_t n = utf8_write(text, c);
        CHECK_EQ(utf8_valid_bytes(text, n), n);
        CHECK_EQ(utf8_read(text, &at), c);
        CHECK_EQ(at, n);
        CHECK_EQ(utf8_before(text, n), 0);
        CHECK_EQ(utf8_count(text, n), 1);
        CHECK(n == 1 || utf8_valid_bytes(text, n - 1) == 0);
    }
}

TEST(what_is_ill_formed_ends_the_valid_part)
{
    static const char *const ill[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xE4\xBD",     "\xE4\x41\x42"};
    for (size_t i = 0; i < sizeof ill / sizeof *ill; i++) {
        char text[32] = "0123456789";
        memcpy(text + 10, ill[i], strlen(ill[i]));
        CHECK_EQ(utf8_valid_bytes(text, 10 + strlen(ill[i])), 10);
    }
}

TEST(what_a_stranger_wrote_is_made_plain)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"", ""},
        {"a caf\xC3\xA9 \xE4\xBD\xA0", "a caf\xC3\xA9 \xE4\xBD\xA0"},
        {"a\x1b[2J\r\n\x7f", "a [2J   "},
        {"a\xC2\x9B"
         "2J\xC2\xA0",
         "a  2J\xC2\xA0"}, /* CSI; a blank that does not break is text */
        {"caf\xE9", "caf"},
        {"ab\xC3", "ab"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", rows[i].from);
        utf8_make_plain(text);
        CHECK_STR(text, rows[i].to);
    }
}

TEST(a_stream_gives_the_same_however_it_is_cut)
{
    static const char text[] = "a\xE4\xBD\xA0\xE4\xBD"
                               "b\xF0\x9F\x98\x80\xFF\xC3\xA9\xF0\x9F";
    static const char want[] = "a\xE4\xBD\xA0\xEF\xBF\xBD"
                               "b\xF0\x9F\x98\x80\xEF\xBF\xBD\xC3\xA9"
                               "\xEF\xBF\xBD";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct utf8_stream s = {0};
        struct bytes out = {0};
        for (size_t at = 0; at < sizeof text - 1; at += piece) {
            const size_t rest = sizeof text - 1 - at;
            CHECK(utf8_stream_add(&s, text + at, rest < piece ? rest : piece, &out));
            CHECK_EQ(utf8_valid_bytes(out.data, out.len), out.len);
        }
        CHECK(utf8_stream_flush(&s, &out));
        CHECK_STR(out.data, want);
        bytes_release(&out);
    }
}
